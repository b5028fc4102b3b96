"""What one record more moves the others by is rounding where records are kept apart, and more where they are not."""

from dataclasses import replace

import pytest
import torch
from fixture_types import RecordsOf

from bench.rounding import slack_of
from bench.share import MODELS, learner_of, with_options
from shared.config.run import RunConfig
from shared.tasks.base import Learner
from shared.tasks.examples import Batch


def test_rounding_in_float32_is_small(either: RunConfig, records_of: RecordsOf) -> None:
    config = with_options(either, ())
    learner = learner_of(config, (), 0.02)
    assert slack_of(config, learner, learner.task.encode(records_of(either, 7))) < 1e-4


def test_records_that_see_each_other_move_more_than_rounding(
    classify: RunConfig, records_of: RecordsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_options(classify, ())
    learner: Learner = learner_of(config, (), 0.02)
    original = learner.task.training_losses

    def coupled(model: torch.nn.Module, batch: Batch, distillation: float) -> torch.Tensor:
        return original(model, replace(batch, targets=batch.targets.roll(1)), distillation)  # a neighbour's label

    monkeypatch.setattr(learner.task, "training_losses", coupled)
    assert slack_of(config, learner, learner.task.encode(records_of(classify, 7))) > 0.1


@pytest.mark.parametrize("task", MODELS)
def test_the_models_of_the_catalogue_that_shares_are_measured_on_make_a_config(task: str) -> None:
    assert with_options(RunConfig.parse(MODELS[task], task), ()).task.name == task
