"""The core beside LoRA: it starts as the base model, its mean is exact, and PEFT alone loads what is saved."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import ConfigOf, LearnerOf, OpenBudget, RecordsOf, Shake
from one_site import site_of
from peft import PeftModel
from transformers import AutoModel, AutoModelForCausalLM

from privacy.dp import core as operation
from privacy.dp.plan import PrivacyPlan
from server.aggregation import Setting
from server.aggregation.mean import Mean
from server.export.merged import merged
from shared.adapters.core import cores
from shared.adapters.peft import base_only, read_adapter, write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError, ModelError, PrivacyError
from shared.tasks.adapter_files import load_adapter, save_adapter
from shared.tasks.base import Learner
from shared.tasks.examples import Batch
from shared.wire.messages import TrainOrder

RANK = 6


def as_core(config: RunConfig, **adapter: Any) -> RunConfig:
    tree = {**config.model_dump(mode="json"), "adapter": {"family": "core", "rank": RANK, **adapter}}
    return RunConfig.parse(tree, "test")


@pytest.fixture
def cored(either: RunConfig) -> RunConfig:
    return as_core(either)


def a_batch(learner: Learner, records_of: RecordsOf, config: RunConfig) -> Batch:
    examples = learner.task.encode(records_of(config, 6))
    return next(learner.batches(examples, range(6), 10_000))[1]


def numbers(state: AdapterState) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in state.spec if "lora" in name}


def test_it_trains_and_sends_rank_times_rank_numbers_a_layer_and_starts_as_the_base(
    cored: RunConfig, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    learner = learner_of(cored)
    state = read_adapter(learner.model)
    assert set(numbers(state).values()) == {(RANK, RANK)}
    assert len(numbers(state)) == len(cores(learner.model)) > 0
    assert not any(state.arrays[name].any() for name in numbers(state))
    batch = a_batch(learner, records_of, cored)
    learner.model.eval()
    with torch.no_grad():
        tuned = learner.task.losses(learner.model, batch)
        with base_only(learner.model):
            assert torch.equal(learner.task.losses(learner.model, batch), tuned)


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


def test_peft_alone_loads_what_is_saved_and_it_comes_back_bit_for_bit(
    cored: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake, tmp_path: Path
) -> None:
    learner = learner_of(cored)
    shake(learner)
    save_adapter(learner, cored, read_adapter(learner.model), tmp_path / "adapter")
    config, loaded = load_adapter(tmp_path / "adapter")
    assert config.digest() == cored.digest()
    assert read_adapter(loaded.model).digest() == read_adapter(learner.model).digest()
    encoder = cored.task.name == "classification"
    base = (AutoModel if encoder else AutoModelForCausalLM).from_pretrained(cored.model.name)
    rebuilt = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    batch = a_batch(learner, records_of, cored)
    tuned: Any = learner.model.eval()
    with torch.no_grad():
        states = [
            network(input_ids=batch.ids, attention_mask=batch.mask, output_hidden_states=True).hidden_states[-1]
            for network in (rebuilt, tuned.encoder if encoder else tuned, merged(loaded).eval())
        ]
    torch.testing.assert_close(states[0], states[1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(states[2], states[1], rtol=1e-4, atol=1e-4)


def test_an_adapter_of_lora_is_not_taken_for_it(classify: RunConfig, learner_of: LearnerOf, tmp_path: Path) -> None:
    lora, other = learner_of(classify), learner_of(as_core(classify))
    lora.task.save(lora.model, tmp_path)
    with pytest.raises(ModelError, match="not a readable adapter"):
        other.task.restore(other.model, tmp_path)
    other.task.save(other.model, tmp_path)
    smaller = learner_of(as_core(classify, rank=2))
    with pytest.raises(ModelError, match="do not fit"):
        smaller.task.restore(smaller.model, tmp_path)


@pytest.mark.parametrize(("name", "value"), [("dropout", 0.1), ("train", "AB")])
def test_what_only_lora_reads_is_refused(config_of: ConfigOf, name: str, value: Any) -> None:
    with pytest.raises(
        ConfigError, match=rf"adapter\.{name}: does not apply to family = 'core'; leave it out, or set family = 'lora'"
    ):
        config_of({"adapter.family": "core", f"adapter.{name}": value})


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


def test_a_site_checks_its_gradients_trains_it_under_privacy_and_sends_what_changed(
    cored: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, open_budget: OpenBudget
) -> None:
    learner, training = learner_of(cored), cored.training
    plan = PrivacyPlan(training.sampling_rate, 1.0, cored.privacy.clipping_norm, training.steps, training.rounds, 1e-4, 100)
    site = site_of("north", 100, cored, records_of(cored, 30), learner, plan, open_budget("north"))
    order = TrainOrder("r", 1, "n" * 32, cored, read_adapter(learner.model), 2, "0.1.0")
    frames = [factor.frame.clone() for factor in cores(learner.model).values()]
    delta = site.train(order).delta
    assert delta.spec == order.adapter.spec
    assert all(np.any(array) for array in delta.arrays.values())
    assert all(torch.equal(a, b.frame) for a, b in zip(frames, cores(learner.model).values(), strict=True))
