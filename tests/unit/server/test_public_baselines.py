"""The baselines of a real federation: what public records reach without any site."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from server.evaluation import Evaluator
from server.public_baselines import public_baselines
from shared.adapters.peft import read_adapter, write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.records.types import Record
from shared.tasks.base import Learner


@pytest.fixture
def evaluator_of(
    classify: RunConfig, learner_of: Callable[[RunConfig], Learner], records_of: Callable[..., list[Record]]
) -> Callable[..., Evaluator]:
    learner, records = learner_of(classify), records_of(classify, 12)

    def made(labels: list[str]) -> Evaluator:
        labelled = [replace(record, label=labels[i % len(labels)]) for i, record in enumerate(records)]
        return Evaluator.of(learner, labelled, ["server"] * len(records), classify, [None] * len(records))

    return made


def names(found: list[Any]) -> list[str]:
    return [row.name for row in found]


def predicted(test: Evaluator, public: Evaluator) -> list[list[int]]:
    outcomes: list[Any] = [row.rival.outcome for row in public_baselines(test, public)]
    return [outcome.predicted.tolist() for outcome in outcomes]


def test_public_records_give_a_trivial_rule_and_a_fitted_head_and_no_site_pays_for_them(
    evaluator_of: Callable[..., Evaluator],
) -> None:
    test, public = evaluator_of(["no", "yes"]), evaluator_of(["no", "yes"])
    found = public_baselines(test, public)
    assert names(found) == ["nearest label name", "majority class", "logistic regression on public records"]
    assert all(row.private and 0 <= row.metrics["accuracy"].value <= 1 for row in found)
    assert found[1].metrics["accuracy"].value == 0.5
    assert found[2].metrics["accuracy"].value > 0.9  # fitted on the very records that it is asked about
    assert "12 public validation records" in found[2].note


def test_they_are_of_the_base_model_also_where_a_run_starts_from_a_trained_adapter(
    evaluator_of: Callable[..., Evaluator],
) -> None:
    test, public = evaluator_of(["no", "yes"]), evaluator_of(["no", "yes"])
    untrained, model, draws = predicted(test, public), test.learner.model, np.random.default_rng(0)
    arrays = read_adapter(model).arrays.items()
    trained = AdapterState({name: draws.normal(size=array.shape).astype(np.float32) for name, array in arrays})
    write_adapter(model, trained)
    assert predicted(test, public) == untrained
    assert read_adapter(model).digest() == trained.digest()


def test_public_records_of_one_label_fit_no_head(evaluator_of: Callable[..., Evaluator]) -> None:
    assert names(public_baselines(evaluator_of(["no", "yes"]), evaluator_of(["no"])))[-1] == "majority class"


def test_without_public_records_only_the_base_model_is_compared(evaluator_of: Callable[..., Evaluator]) -> None:
    assert names(public_baselines(evaluator_of(["no", "yes"]), None)) == ["nearest label name"]
