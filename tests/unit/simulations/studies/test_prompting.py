from pathlib import Path

import numpy as np
import pytest
from fixture_types import RecordsOf

from shared.config.run import RunConfig
from shared.config.studies import CompareSection
from shared.errors import ConfigError
from shared.records.types import Record
from simulations.studies.prompting import Prompt, answers, best_prompt, prompts_of


@pytest.fixture
def section(tiny_llama: Path) -> CompareSection:
    return CompareSection(prompt_model=str(tiny_llama), prompts=("{text} is {labels}", "{text}"), shots=(0, 2))


def test_a_prompt_shows_its_examples_with_their_labels_and_ends_with_the_question() -> None:
    prompt = Prompt("text {text} of {labels}:", (Record({"text": "aaa"}, "yes"),))
    assert prompt.ask("bbb", ("no", "yes")) == "text aaa of no, yes: yes\n\ntext bbb of no, yes:"
    assert "{" in prompt.ask("{labels}", ("no", "yes"))  # a text is never taken for a template


def test_every_instruction_is_tried_with_every_number_of_examples(section: CompareSection) -> None:
    public = [Record({"text": str(number)}, "no") for number in range(5)]
    tried = [(prompt.instruction, len(prompt.examples)) for prompt in prompts_of(section, public)]
    assert tried == [("{text} is {labels}", 0), ("{text} is {labels}", 2), ("{text}", 0), ("{text}", 2)]


def test_the_chosen_prompt_is_the_best_on_public_records(
    classify: RunConfig, section: CompareSection, records_of: RecordsOf
) -> None:
    public = records_of(classify, 24)
    learner, chosen = best_prompt(classify, section, public)
    shown = {id(record) for record in chosen.examples}
    assert all(any(id(record) == each for record in public) for each in shown)
    labels = classify.task.labels
    found = answers(learner, chosen, public[:3], labels)
    assert set(found.tolist()) <= {0, 1}
    again = [int(answers(learner, chosen, [record], labels)[0]) for record in public[:3]]
    assert found.tolist() == again  # no record's answer depends on another record
    assert isinstance(found, np.ndarray)


def test_too_few_public_records_to_choose_on_are_refused(
    classify: RunConfig, section: CompareSection, records_of: RecordsOf
) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.validation"):
        best_prompt(classify, section, records_of(classify, 2))
