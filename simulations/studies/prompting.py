"""Choose the best of several prompts on public records, to compare a prompted language model with a trained one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from shared.config.run import RunConfig
from shared.config.studies import CompareSection
from shared.errors import ConfigError
from shared.records.types import Record
from shared.seeds import stream
from shared.tasks import load_learner
from shared.tasks.base import Learner
from shared.tasks.multiple_choice import choice_losses

PROMPT_TOKENS = 1024
TEXT_CHARS = 400  # a longer text is cut in a prompt, so that the end of the question never is


@dataclass(frozen=True)
class Prompt:
    """An instruction with {text} and {labels}, and the public examples that go before the question."""

    instruction: str
    examples: tuple[Record, ...] = ()

    def ask(self, text: str, labels: Sequence[str]) -> str:
        """Return the whole question about a text."""
        names = ", ".join(labels)
        shown = [f"{self._filled(e.fields['text'], names)} {e.label}" for e in self.examples]
        return "\n\n".join([*shown, self._filled(text, names)])

    def _filled(self, text: str, names: str) -> str:
        return self.instruction.replace("{labels}", names).replace("{text}", text[:TEXT_CHARS])


def prompts_of(section: CompareSection, public: Sequence[Record]) -> Iterator[Prompt]:
    """Yield each instruction with each number of examples, which are the first of the public records."""
    for instruction, shots in product(section.prompts, section.shots):
        yield Prompt(instruction, tuple(public[:shots]))


def best_prompt(config: RunConfig, section: CompareSection, public: Sequence[Record]) -> tuple[Learner, Prompt]:
    """Return the language model, and the prompt with the most right answers on public records that no prompt shows.

    Raises
    ------
    ConfigError
        There are too few public records.
    """
    order, most = stream(config.run.seed, "shots").permutation(len(public)), max(section.shots)
    shown, asked = ([public[place] for place in places] for places in (order[:most], order[most:][: section.prompt_records]))
    if not asked:
        raise ConfigError(
            f"evaluation.validation = {config.evaluation.validation}: prompts are chosen on public records, and it leaves "
            f"{len(public)} for {most} examples and a choice; raise it, or take 'prompts' out of compare.arms"
        )
    learner, labels = _prompted(config, section), config.task.labels
    truth = np.array([labels.index(record.label or "") for record in asked])
    prompts = list(prompts_of(section, shown))
    scores = [(answers(learner, prompt, asked, labels) == truth).mean() for prompt in prompts]
    return learner, prompts[int(np.argmax(scores))]


def answers(learner: Learner, prompt: Prompt, records: Sequence[Record], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the index of the label that the language model finds most likely as the whole answer for a record, (N,)."""
    asked = [
        Record({"instruction": prompt.ask(record.fields["text"], labels), "response": label})
        for record in records
        for label in labels
    ]
    losses = choice_losses(learner, learner.task.encode(asked), len(labels))
    best: npt.NDArray[np.int64] = losses.argmin(axis=1)
    return best


def _prompted(config: RunConfig, section: CompareSection) -> Learner:
    """Return the language model to prompt; its adapter has no effect."""
    tree = config.model_dump(mode="json")
    tree["task"] = {"name": "instruction"}
    tree["model"] |= {"name": section.prompt_model, "sha256": None, "max_length": PROMPT_TOKENS}
    tree["adapter"] = {"rank": 1}
    tree["data"]["label_bins"] = []
    prompted = RunConfig.parse(tree, "compare.prompt_model")
    return load_learner(prompted)
