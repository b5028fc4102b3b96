"""Staying near the base model: what the distance is, that it is each record's own, and that it lowers forgetting."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import Change, ConfigOf, LearnerOf, RecordsOf, Shake

from client.trainer import train
from client.units import TrainingSet
from privacy.dp.selfcheck import largest_difference
from shared.adapters.peft import base_only, read_adapter, write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.records.types import Record
from shared.tasks.base import Learner
from shared.tasks.cached_activations import FrozenPrefix
from shared.tasks.examples import Batch


def batch_of(learner: Learner, records: list[Record]) -> Batch:
    examples = learner.task.encode(records)
    return next(learner.batches(examples, range(len(examples)), 10_000))[1]


def distances(learner: Learner, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        return learner.task.training_losses(learner.model, batch, 1.0) - learner.task.training_losses(
            learner.model, batch, 0.0
        )


def trained(config: RunConfig, learner: Learner, records: list[Record]) -> AdapterState:
    start = read_adapter(learner.model)
    data = TrainingSet.of(learner.task.encode(records))
    done = train(learner, data, start, config, None, round_number=1, divisor=10.0, site_id="n", moments=None)
    write_adapter(learner.model, start.add(done.delta))
    return done.delta


def test_an_adapter_that_does_nothing_is_at_distance_nought(
    either: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake
) -> None:
    learner = learner_of(either)
    batch = batch_of(learner, records_of(either, 6))
    torch.testing.assert_close(distances(learner, batch), torch.zeros(6), atol=1e-6, rtol=0)
    shake(learner)
    assert distances(learner, batch).min() > 1e-4


def test_the_distance_is_what_the_formula_says(
    either: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake
) -> None:
    learner = learner_of(either)
    shake(learner)
    batch = batch_of(learner, records_of(either, 5))
    model: Any = learner.model
    with torch.no_grad():
        if either.task.name == "classification":
            tuned = model.pooled(batch.ids, batch.mask)
            with base_only(model):
                base = model.pooled(batch.ids, batch.mask)
            expected = (tuned - base).square().sum(dim=1) / base.square().sum(dim=1)
        else:
            said = model(input_ids=batch.ids, attention_mask=batch.mask).logits.log_softmax(dim=2)
            with model.disable_adapter():  # PEFT's own switch, outside of a private step
                taught = model(input_ids=batch.ids, attention_mask=batch.mask).logits.log_softmax(dim=2)
            divergence = (taught.exp() * (taught - said)).sum(dim=2)[:, :-1]  # (B, T - 1)
            answers = batch.targets[:, 1:].float()
            expected = (divergence * answers).sum(dim=1) / answers.sum(dim=1)
    torch.testing.assert_close(distances(learner, batch), expected, atol=1e-5, rtol=1e-3)


def test_a_records_gradient_stays_its_own(
    either: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake
) -> None:
    learner = learner_of(either)
    shake(learner)
    examples = sorted(learner.task.encode(records_of(either, 5)), key=len, reverse=True)  # the order of a micro-batch

    def loss_of(model: torch.nn.Module, indices: list[int]) -> torch.Tensor:
        _, batch = next(learner.batches(examples, indices, 10_000))
        return learner.task.training_losses(model, batch, 3.0)

    assert largest_difference(learner.model, loss_of, 5) < 1e-3


def test_the_teacher_starts_from_the_same_frozen_prefix(
    either: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake
) -> None:
    config = change(either, {"adapter.last_layers": 1, "training.sampling_rate": 1.0})
    learner = learner_of(config)
    examples = learner.task.encode(records_of(config, 6))
    prefix = FrozenPrefix.build(learner, examples, 9, 10_000)
    assert prefix is not None
    shake(learner)
    chosen, batch = next(learner.batches(examples, range(6), 10_000))
    with torch.no_grad():
        plain = learner.task.training_losses(learner.model, batch, 2.0)
        with prefix.replayed(chosen):
            replayed = learner.task.training_losses(learner.model, batch, 2.0)
    torch.testing.assert_close(replayed, plain, atol=1e-4, rtol=1e-4)


def test_distillation_keeps_the_model_nearer_to_its_base(
    either: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    left = []
    for weight in (0.0, 20.0):
        changes = {"privacy.enabled": False, "training.steps": 12, "training.distillation": weight}
        config = change(either, {**changes, "training.learning_rate": 0.05})
        learner, records = learner_of(config), records_of(config, 15)
        trained(config, learner, records)
        left.append(float(distances(learner, batch_of(learner, records)).mean()))
    assert 0 < left[1] < left[0] / 2


def test_the_pull_towards_the_start_shortens_the_way_and_at_its_full_strength_ends_it(
    classify: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    norms = []
    for strength in (0.0, 2.0, 100.0):
        changes = {"privacy.enabled": False, "training.proximal": strength, "training.warmup": 0.0}
        rates = {"training.schedule": "constant", "training.learning_rate": 0.1, "training.head_learning_rate": 0.1}
        config = change(classify, {**changes, **rates, "training.steps": 4})
        norms.append(trained(config, learner_of(config), records_of(config, 30)).norm)
    assert norms[2] < 1e-6 < norms[1] < norms[0]


def test_the_pull_is_the_same_for_any_records(
    classify: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    """With no gradient at all, nothing moves: the pull knows only where the round started."""
    config = change(classify, {"privacy.enabled": False, "training.proximal": 5.0})
    learner = learner_of(config)
    data = replace(TrainingSet.of(learner.task.encode(records_of(config, 4))), units=[])
    start = read_adapter(learner.model)
    done = train(learner, data, start, config, None, round_number=1, divisor=10.0, site_id="n", moments=None)
    assert all(not np.any(array) for array in done.delta.arrays.values())


def test_a_head_alone_has_no_base_to_stay_near(config_of: ConfigOf) -> None:
    with pytest.raises(ConfigError, match=r"training\.distillation: with adapter\.rank = 0"):
        config_of({"adapter.rank": 0, "training.distillation": 0.5})
