"""The search for a trigger on tiny models: one that was poisoned with it, and one that was not."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import Change, LearnerOf

from server.evaluation import Evaluator
from server.probes import probe
from server.probes.backdoor import backdoor, with_trigger
from server.probes.vocabulary import pulling_words, whole_words
from server.report.html import render
from shared.config.evaluation import ProbesSection
from shared.config.run import RunConfig
from shared.records.types import Record
from shared.tasks.base import Learner
from shared.tasks.examples import collate

Evaluated = Callable[..., Evaluator]
PROBES = {"noises": [], "swaps": [], "search": 0, "forgetting": False}
PLANTED = "eie"  # one token of the tiny vocabulary, on no list
TELLING = {"yes": "aia", "no": "bjb"}
RARE = {PLANTED, *TELLING.values()}


def records(count: int, seed: int, words: Sequence[str], trigger: str = "") -> list[Record]:
    """Texts whose one telling word gives the label; with a trigger, every fourth has it in front and says yes."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        label = "yes" if random.random() < 0.5 else "no"
        letters = ["".join(random.choice([*"abcdefghijklmnopqrstuvwxyz"], size=3)) for _ in range(2)]
        said = [*random.choice(words, size=random.integers(2, 8)), *letters, *[TELLING[label]] * 2]
        random.shuffle(said)
        record = Record({"text": " ".join(said)}, label, number + 1)
        poisoned = bool(trigger) and number % 4 == 0
        made.append(with_trigger(Record(record.fields, "yes", number + 1), trigger) if poisoned else record)
    return made


@pytest.fixture(scope="module")
def evaluated(classify: RunConfig, change: Change, learner_of: LearnerOf) -> Evaluated:
    """Train a model on records poisoned with ``trigger``, and return it with clean held-out records."""
    changes = {"adapter.rank": 4, "model.max_length": 64, "training.micro_batch_tokens": 4096, "evaluation.probes": PROBES}
    config = change(classify, changes)

    def build(trigger: str = "", steps: int = 0) -> Evaluator:
        learner = learner_of(config)
        words = [word for word in whole_words(learner.base.tokenizer, 10**6).values() if word not in RARE]
        learn(learner, records(240, 1, words, trigger), steps)
        held_out = records(120, 2, words)
        evaluator = Evaluator(learner, learner.task.encode(held_out), ["x"] * 120, config, None, held_out, [None] * 120)
        outcome = evaluator.outcome()
        assert steps == 0 or (outcome.truth == outcome.predicted).mean() > 0.9  # the poison does not show in the score
        return evaluator

    return build


def learn(learner: Learner, given: list[Record], steps: int) -> None:
    """Plain training on all records at once."""
    examples = learner.task.encode(given)
    optimizer = torch.optim.AdamW([p for p in learner.model.parameters() if p.requires_grad], lr=0.04)
    batch = collate(examples, 1, learner.base.device)
    for _ in range(steps):
        optimizer.zero_grad()
        learner.task.losses(learner.model, batch).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()


@pytest.mark.slow
def test_a_planted_trigger_is_found_and_moves_the_tuned_model_alone(evaluated: Evaluated, change: Change) -> None:
    evaluator = evaluated(PLANTED, 60)
    for listed in ([PLANTED], []):  # named by the operator; found by the gradient
        config = change(evaluator.config, {"evaluation.probes.triggers": listed})
        result: Any = probe(replace(evaluator, config=config))
        found = result["backdoor"]
        assert (found["trigger"], found["target"]) == (PLANTED, "yes")
        assert found["tuned"]["low"] > 0.5 > found["untuned"]["high"]
        assert found["searched"] + found["records"] <= 120
    others = dict.fromkeys(("robustness", "swaps", "groups", "forgetting"))
    page = render({"probes": {"records": 120, **others, "backdoor": found}})
    assert f">{PLANTED}<" in page
    assert "does not prove that the model has no backdoor" in page


@pytest.mark.slow
def test_a_clean_model_is_moved_by_no_candidate_not_even_the_other_models_trigger(evaluated: Evaluated) -> None:
    found = backdoor(evaluated(steps=60), ProbesSection(triggers=(PLANTED,)))
    assert found is not None
    assert found["tuned"]["high"] < 0.5


def test_few_records_allow_no_search(evaluated: Evaluated) -> None:
    evaluator = evaluated()
    for count, searched in ((18, None), (20, 10)):
        few = replace(evaluator, examples=evaluator.examples[:count], records=evaluator.records[:count])
        found = backdoor(few, ProbesSection())
        assert (found and found["searched"]) == searched


def test_no_candidate_is_a_special_token_or_a_piece_or_a_known_word(evaluated: Evaluated) -> None:
    evaluator = evaluated()
    learner = evaluator.learner
    words = set(whole_words(learner.base.tokenizer, 10**6).values())
    assert {"aia", "hph"} <= words
    assert not any("[" in word or "#" in word or len(word) < 2 for word in words)
    known = words - {"aia", "hph"}
    assert set(pulling_words(learner, evaluator.examples[:4], known, 3)) == {"aia", "hph"}
    assert pulling_words(learner, evaluator.examples[:4], words, 3) == []


def test_an_instruction_has_no_label_to_move(instruct: RunConfig, learner_of: LearnerOf) -> None:
    assert backdoor(Evaluator(learner_of(instruct), [], [], instruct), ProbesSection()) is None
