from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import Change, ConfigOf, LearnerOf, RecordsOf
from hypothesis import given, settings
from hypothesis import strategies as st
from made_round import made_round

from server.early_stopping import best_round, choice, is_over, until_over
from server.evaluation import Evaluator
from server.products import Measures
from server.report.html import render
from server.rounds import Round
from shared.adapters.peft import read_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.metrics.bootstrap import Interval
from shared.records.types import Record


def round_of(number: int, value: float, metric: str = "accuracy", **changes: Any) -> Round:
    given = {"adapter": AdapterState({"b": np.full(1, number, dtype=np.float32)}), **changes}
    return made_round(number, metrics={metric: Interval(value, value, value)}, accepted=("north",), **given)


def rounds_of(values: Sequence[float], metric: str = "accuracy") -> list[Round]:
    return [round_of(number, value, metric) for number, value in enumerate(values, 1)]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=12), st.integers(1, 4))
def test_the_best_round_is_the_earliest_best_and_patience_counts_from_it(values: list[float], patience: int) -> None:
    rounds = rounds_of(values)
    assert best_round(rounds).number == values.index(max(values)) + 1
    assert is_over(rounds, patience) == (len(values) - 1 - values.index(max(values)) >= patience)
    assert not is_over(rounds, 0)
    taken = list(until_over(rounds, patience))
    assert [is_over(taken[:n], patience) for n in range(1, len(taken))] == [False] * (len(taken) - 1)
    assert is_over(taken, patience) or taken == rounds
    assert list(until_over(rounds[len(taken) :], patience, taken)) == []
    if is_over(rounds, patience):  # and a run that was stopped would have stopped no later
        first = next(n for n in range(1, len(rounds) + 1) if is_over(rounds[:n], patience))
        assert best_round(rounds[:first]).metrics["accuracy"].value >= max(values[:first])


def test_a_lower_perplexity_is_better() -> None:
    assert best_round(rounds_of([9.0, 7.0, 8.0], "perplexity")).number == 2


def test_abandoned_rounds_neither_win_nor_count() -> None:
    rounds = [round_of(1, 0.5), round_of(2, 0.9, committed=False), round_of(2, 0.4), round_of(3, 0.4, committed=False)]
    assert best_round(rounds).number == 1
    assert is_over(rounds, 1)
    assert not is_over(rounds, 2)
    assert not is_over([round_of(1, 0.5, committed=False)], 1)


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.integers(1, 30))
def test_a_byte_budget_ends_a_run_at_a_committed_round_before_it_is_exceeded(committed: list[bool], budget: int) -> None:
    rounds = [round_of(number, 0.5, committed=flag) for number, flag in enumerate(committed, 1)]  # of 2 bytes each
    taken = list(until_over(rounds, 0, byte_budget=budget))
    if len(taken) < len(rounds):
        assert taken[-1].committed
        assert 2 * (len(taken) + 1) > budget  # no sooner than it must
    for place, done in enumerate(taken[1:], 1):
        assert 2 * (place + 1) <= budget or not taken[place - 1].committed, done  # a round that began is tried to its end
    assert not list(until_over(rounds[len(taken) :], 0, taken, budget))  # a resumed run ends where the run ended
    assert list(until_over(rounds, 0)) == rounds


def test_patience_without_validation_records_is_refused(config_of: ConfigOf) -> None:
    with pytest.raises(ConfigError, match=r"evaluation.*patience"):
        config_of({"evaluation.patience": 2})
    assert config_of({"evaluation.patience": 2, "evaluation.validation": 0.3}).evaluation.patience == 2


def test_on_a_run_that_overfits_the_best_round_is_published_and_the_warning_shown(
    classify: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    classify = change(classify, {"training.micro_batch_tokens": 4096, "evaluation.bootstrap": 100})  # faster to compute
    learner = learner_of(classify)
    torch.manual_seed(0)
    words = {"yes": "aia bib", "no": "hph gog"}
    public = [Record({"text": f"{words[label]} {words[label]}"}, label) for label in ("yes", "no") for _ in range(60)]
    wrong = {"yes": "no", "no": "yes"}
    training = learner.task.encode([*public[:6], *public[60:66], *records_of(classify, 4)])
    flipped = learner.task.encode(
        [Record(record.fields, wrong[str(record.label)]) for record in [*public[:8], *public[60:68]]]
    )
    validation = Evaluator(learner, learner.task.encode(public), ["x"] * len(public), classify)
    optimiser = torch.optim.Adam([p for p in learner.model.parameters() if p.requires_grad], lr=0.05)
    rounds: list[Round] = []
    for number in range(1, 7):  # two rounds on good records, then on records whose labels are wrong
        for _ in range(15):
            examples = training if number <= 2 else flipped
            for _, batch in learner.batches(examples, range(len(examples)), 10_000):
                optimiser.zero_grad()
                torch.autograd.backward(learner.task.losses(learner.model, batch).mean())
                optimiser.step()
        value = validation.metrics(validation.outcome())["accuracy"].value
        rounds.append(round_of(number, value, adapter=read_adapter(learner.model)))
        if is_over(rounds, 2):
            break
    assert best_round(rounds).number <= 2
    assert rounds[-1].number < 6
    assert Measures(validation, validation).published(rounds) is best_round(rounds)
    assert Measures(validation, None).published(rounds) is rounds[-1]
    assert choice(None, rounds, 6) is None
    found = choice(validation, rounds, 6)
    assert found
    assert found["overfits"]
    assert found["after_best"]["high"] < 0
    assert (found["best_round"], found["last_round"]) == (best_round(rounds).number, rounds[-1].number)
    page = render({"choice": found, "rounds": []})
    assert "began to overfit" in page
    assert f"stopped after round {rounds[-1].number} of 6" in page


def test_the_gap_comes_from_released_sums_alone(classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf) -> None:
    learner = learner_of(classify)
    validation = Evaluator(learner, learner.task.encode(records_of(classify, 12)), ["x"] * 12, classify)
    adapter = read_adapter(learner.model)
    sums: dict[str, Any] = {"north": {"loss": 9.0, "hits": 60.0, "records": 80.0}, "south": {"hits": 30.0, "records": 20.0}}
    rounds = [round_of(1, 0.5, adapter=adapter), round_of(2, 0.6, adapter=adapter, released=sums)]
    found = choice(validation, rounds, 2)
    assert found
    assert found["gaps"] == [{"adapter_of_round": 1, "training_accuracy": pytest.approx(0.9)}]
    assert not found["overfits"]
