"""IA3 beside LoRA: where it sits, that it starts as the base model, and that all that depends on an adapter takes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import Change, ConfigOf, LearnerOf, RecordsOf, Shake
from peft.tuners.ia3 import IA3Layer
from transformers import (
    DistilBertConfig,
    DistilBertModel,
    GPTNeoXConfig,
    GPTNeoXModel,
    PreTrainedModel,
    RobertaConfig,
    RobertaModel,
)

from client.preflight import need_of
from server.aggregation import Setting
from server.aggregation.mean import Mean
from shared.adapters.ia3 import peft_config
from shared.adapters.peft import base_only, read_adapter, write_adapter
from shared.config.run import RunConfig
from shared.errors import ConfigError, ModelError
from shared.models.memory import OVERHEAD, record_bytes
from shared.tasks.base import Learner


def as_ia3(config: RunConfig, **adapter: Any) -> RunConfig:
    """Return the config with IA3 instead of LoRA."""
    return RunConfig.parse({**config.model_dump(mode="json"), "adapter": {"family": "ia3", **adapter}}, "test")


@pytest.fixture
def scaled(either: RunConfig) -> RunConfig:
    return as_ia3(either)


def places(learner: Learner) -> dict[str, bool]:
    """Each adapted layer's name inside its block, with the block's number, and whether it scales what it is given."""
    found = {name: layer for name, layer in learner.model.named_modules() if isinstance(layer, IA3Layer)}
    return {name.split("layer.")[-1].split("layers.")[-1]: layer.is_feedforward for name, layer in found.items()}


BERT = {"attention.self.key": False, "attention.self.value": False, "output.dense": True}
LLAMA = {"self_attn.k_proj": False, "self_attn.v_proj": False, "mlp.down_proj": True}


@pytest.mark.parametrize(
    ("adapter", "numbers"), [({}, (0, 1)), ({"last_layers": 1}, (1,)), ({"layers": [0]}, (0,))], ids=["all", "last", "named"]
)
def test_it_sits_on_keys_values_and_the_second_feed_forward_layer(
    either: RunConfig, learner_of: LearnerOf, adapter: dict[str, Any], numbers: tuple[int, ...]
) -> None:
    inside = BERT if either.task.name == "classification" else LLAMA
    expected = {f"{number}.{name}": given for number in numbers for name, given in inside.items()}
    assert places(learner_of(as_ia3(either, **adapter))) == expected


@pytest.mark.parametrize(
    ("adapter", "expected"),
    [
        ({"targets": ["query"]}, {"0.attention.self.query": False, "1.attention.self.query": False}),
        (
            {"targets": ["dense"], "layers": [1]},
            {"1.attention.output.dense": False, "1.intermediate.dense": False, "1.output.dense": True},
        ),
    ],
)
def test_targets_are_taken_by_name_as_for_lora(
    classify: RunConfig, learner_of: LearnerOf, adapter: dict[str, Any], expected: Mapping[str, bool]
) -> None:
    assert places(learner_of(as_ia3(classify, **adapter))) == expected


def patterns(network: PreTrainedModel, config: RunConfig) -> tuple[str, str]:
    made = peft_config(network, config.adapter)
    return str(made.target_modules), str(made.feedforward_modules)


def test_other_families_of_models_are_known_by_name_or_refused_with_the_choices(classify: RunConfig) -> None:
    config = as_ia3(classify)
    distil = patterns(DistilBertModel(DistilBertConfig(vocab_size=9, dim=8, n_heads=2, n_layers=1, hidden_dim=8)), config)
    assert "lin2" in distil[0]
    shape: dict[str, Any] = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    assert "attention\\.self\\.key" in patterns(RobertaModel(RobertaConfig(**shape, intermediate_size=8)), config)[0]
    with pytest.raises(ModelError, match=r"adapter\.targets: .* are not known; name some of: dense, dense_4h_to_h"):
        patterns(GPTNeoXModel(GPTNeoXConfig(**shape, intermediate_size=8)), config)


@pytest.mark.parametrize(
    ("adapter", "says"),
    [
        ({"targets": ["qery"]}, "'qery' is not a linear layer"),
        ({"layers": [2]}, "there is no layer 2"),
        ({"last_layers": 3}, "this model has 2 layers"),
    ],
)
def test_layers_that_do_not_exist_are_refused(
    either: RunConfig, learner_of: LearnerOf, adapter: dict[str, Any], says: str
) -> None:
    with pytest.raises(ModelError, match=says):
        learner_of(as_ia3(either, **adapter))


@pytest.mark.parametrize("adapter", [{}, {"rank": 0}, {"last_layers": 1, "targets": ["key"]}])
def test_a_config_comes_back_from_its_canonical_form(classify: RunConfig, adapter: dict[str, Any]) -> None:
    config = as_ia3(classify, **adapter)
    again = RunConfig.model_validate_json(config.canonical())
    assert again == config
    assert again.digest() == config.digest()


def test_a_rank_of_0_trains_the_head_alone(classify: RunConfig, learner_of: LearnerOf, config_of: ConfigOf) -> None:
    assert list(read_adapter(learner_of(as_ia3(classify, rank=0)).model).arrays) == ["head.weight", "head.bias"]
    with pytest.raises(ConfigError, match=r"adapter\.rank = 0"):
        config_of({"adapter": {"family": "ia3", "rank": 0}, "task": {"name": "instruction"}})


def test_decay_to_0_which_would_switch_layers_off_is_refused(config_of: ConfigOf) -> None:
    with pytest.raises(ConfigError, match=r"training\.weight_decay = 0\.1: pulls the factors of ia3 towards 0"):
        config_of({"adapter.family": "ia3", "training.weight_decay": 0.1})
    config_of({"adapter": {"family": "ia3", "rank": 0}, "training.weight_decay": 0.1})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_new_adapter_is_1_and_float32_and_changes_nothing(
    scaled: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf, dtype: str
) -> None:
    learner = learner_of(change(scaled, {"model.dtype": dtype}))
    factors = {name: array for name, array in read_adapter(learner.model).arrays.items() if "ia3_l" in name}
    assert len(factors) == 6
    assert all((array == 1).all() for array in factors.values())
    assert {p.dtype for p in learner.model.parameters() if p.requires_grad} == {torch.float32}
    learner.model.eval()
    with torch.no_grad(), learner.batch(learner.task.encode(records_of(scaled, 6))) as batch:
        tuned = learner.task.losses(learner.model, batch)
        with base_only(learner.model):
            assert torch.equal(learner.task.losses(learner.model, batch), tuned)


def test_a_lora_adapter_is_not_taken_for_it(
    classify: RunConfig, learner_of: LearnerOf, shake: Shake, tmp_path: Path
) -> None:
    lora, other = learner_of(classify), learner_of(as_ia3(classify))
    lora.task.save(lora.model, tmp_path)
    with pytest.raises(ModelError, match="do not fit the base model"):
        other.task.restore(other.model, tmp_path)
    with pytest.raises(ModelError, match="does not fit the model"):
        write_adapter(other.model, read_adapter(lora.model))


def test_the_layer_under_the_mean_of_adapters_gives_the_mean_of_what_it_gives_under_each(
    scaled: RunConfig, learner_of: LearnerOf
) -> None:
    learner, generator = learner_of(scaled), np.random.default_rng(4)
    start = read_adapter(learner.model)
    deltas = [
        type(start)({name: generator.normal(size=shape).astype(np.float32) for name, shape in start.spec}) for _ in range(3)
    ]
    weights, mean = (2.0, 1.0, 1.0), Mean(Setting(start, {"any": 2.0}, scaled.aggregation))
    for delta, weight in zip(deltas, weights, strict=True):
        mean.fold(delta, weight)
    layers: list[Any] = [layer for layer in learner.model.modules() if isinstance(layer, IA3Layer)]
    inputs = [torch.randn(2, 5, layer.in_features) for layer in layers]

    def given(adapter: Any) -> list[torch.Tensor]:
        write_adapter(learner.model, adapter)
        with torch.no_grad():
            return [layer(x) for layer, x in zip(layers, inputs, strict=True)]

    each = [given(start.add(delta)) for delta in deltas]
    for place, found in enumerate(given(start.add(mean.result().change))):
        expected = sum(w * outputs[place] for w, outputs in zip(weights, each, strict=True)) / sum(weights)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_its_memory_is_planned_for_on_shapes_alone(scaled: RunConfig, learner_of: LearnerOf) -> None:
    network = learner_of(scaled).base.network.base_model
    counted = record_bytes(network, scaled.model.max_length) * OVERHEAD["cpu"]
    assert need_of(scaled).whole == pytest.approx(counted)
