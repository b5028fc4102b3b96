"""The core beside LoRA: it starts as the base model, its mean is exact, and PEFT alone loads what is saved."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import LearnerOf, OpenBudget, RecordsOf
from one_site import site_of

from privacy.dp import core as operation
from privacy.dp.plan import PrivacyPlan
from server.aggregation import Setting
from server.aggregation.mean import Mean
from shared.adapters.core import cores
from shared.adapters.peft import read_adapter, write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ModelError, PrivacyError

RANK = 6


def as_core(config: RunConfig, **adapter: Any) -> RunConfig:
    tree = {**config.model_dump(mode="json"), "adapter": {"family": "core", "rank": RANK, **adapter}}
    return RunConfig.parse(tree, "test")


@pytest.fixture
def cored(either: RunConfig) -> RunConfig:
    return as_core(either)


def numbers(state: AdapterState) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in state.spec if "lora" in name}


def test_it_trains_and_sends_rank_times_rank_numbers_a_layer(cored: RunConfig, learner_of: LearnerOf) -> None:
    learner = learner_of(cored)
    state = read_adapter(learner.model)
    assert set(numbers(state).values()) == {(RANK, RANK)}
    assert len(numbers(state)) == len(cores(learner.model)) > 0
    assert not any(state.arrays[name].any() for name in numbers(state))


def test_every_site_has_the_same_fixed_factors_and_another_seed_has_others(cored: RunConfig, learner_of: LearnerOf) -> None:
    def frames(config: RunConfig) -> list[torch.Tensor]:
        return [factor.frame for factor in cores(learner_of(config).model).values()]

    first, again = frames(cored), frames(cored)
    tree = cored.model_dump(mode="json")
    other = frames(RunConfig.parse({**tree, "run": {**tree["run"], "seed": 5}}, "test"))
    for one, two, three in zip(first, again, other, strict=True):
        assert torch.equal(one, two)
        assert not torch.equal(one, three)
        torch.testing.assert_close(one.square().sum(dim=0), torch.ones(RANK))


def test_the_mean_of_cores_is_the_core_of_the_mean(cored: RunConfig, learner_of: LearnerOf) -> None:
    """Against float64: the update of each layer under the mean is the mean of the updates."""
    learner, generator, weights = learner_of(cored), np.random.default_rng(4), (2.0, 1.0, 1.0)
    start = read_adapter(learner.model)
    mean, updates = Mean(Setting(start, {"any": 2.0}, cored.aggregation)), []

    def update() -> list[np.ndarray]:  # type: ignore[type-arg]
        layers: list[Any] = [layer for layer in learner.model.modules() if hasattr(layer, "lora_A")]
        return [(f.frame.double() @ f.core.weight.double() @ layer.lora_A["default"].weight.double()).detach().numpy()
                for layer, f in zip(layers, cores(learner.model).values(), strict=True)]  # fmt: skip

    for weight in weights:
        delta = AdapterState({name: generator.normal(size=shape).astype(np.float32) for name, shape in start.spec})
        mean.fold(delta, weight)
        write_adapter(learner.model, start.add(delta))
        updates.append(update())
    write_adapter(learner.model, start.add(mean.result().change))
    for place, found in enumerate(update()):
        expected = sum(w * each[place] for w, each in zip(weights, updates, strict=True)) / sum(weights)
        assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


def test_an_adapter_of_lora_is_not_taken_for_it(classify: RunConfig, learner_of: LearnerOf, tmp_path: Path) -> None:
    lora, other = learner_of(classify), learner_of(as_core(classify))
    lora.task.save(lora.model, tmp_path)
    with pytest.raises(ModelError, match="not a readable adapter"):
        other.task.restore(other.model, tmp_path)
    other.task.save(other.model, tmp_path)
    smaller = learner_of(as_core(classify, rank=2))
    with pytest.raises(ModelError, match="do not fit"):
        smaller.task.restore(smaller.model, tmp_path)


def test_a_site_whose_cores_have_other_gradients_than_their_records_is_not_set_up(
    classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, open_budget: OpenBudget,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    config = as_core(classify)
    exact = operation.trained_linear

    def shifted(hidden: torch.Tensor, *rest: Any) -> torch.Tensor:
        return exact(hidden, *rest) + (hidden - hidden.detach()).flip(1)  # a gradient from another position

    monkeypatch.setattr(operation, "trained_linear", shifted)
    training = config.training
    plan = PrivacyPlan(training.sampling_rate, 1.0, config.privacy.clipping_norm, training.steps, training.rounds, 1e-4, 100)
    with pytest.raises(PrivacyError):
        site_of("north", 100, config, records_of(config, 30), learner_of(config), plan, open_budget("north"))
