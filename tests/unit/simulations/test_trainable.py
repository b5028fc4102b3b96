from collections.abc import Mapping
from typing import Any

import pytest
from fixture_types import Change, LearnerOf
from peft.tuners.lora import Linear

from shared.adapters.peft import read_adapter
from shared.config.run import RunConfig
from shared.errors import ConfigError, ModelError
from simulations.display.catalogue import trainable_table
from simulations.trainable import trainable_rows


def layers_of(found: Mapping[str, Any]) -> set[str]:
    return {row["name"].split(".layer.")[1].split(".")[0] for row in found["tensors"] if ".layer." in row["name"]}


@pytest.mark.parametrize("family", ["lora", "ia3"])
def test_the_table_is_what_is_trained_and_nothing_else(either: RunConfig, learner_of: LearnerOf, family: str) -> None:
    config = RunConfig.parse({**either.model_dump(mode="json"), "adapter": {"family": family}}, "test")
    found, state = trainable_rows(config), read_adapter(learner_of(config).model)
    shapes = {row["name"]: tuple(row["shape"]) for row in found["tensors"]}
    assert shapes == {name.replace(".default", ""): shape for name, shape in state.spec}
    assert found["trained"] == state.parameters == sum(row["parameters"] for row in found["tensors"])
    assert found["frozen"] > found["trained"]
    said = "".join(part for part in trainable_table(found) if isinstance(part, str))
    assert str(found["trained"]) in said.replace(",", "")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"0", "1"}),
        ({"adapter.layers": [0]}, {"0"}),
        ({"adapter.layers": [1]}, {"1"}),
        ({"adapter.last_layers": 1}, {"1"}),
    ],
)
def test_only_the_chosen_layers_are_trained(
    classify: RunConfig, change: Change, changes: Mapping[str, Any], expected: set[str]
) -> None:
    found = trainable_rows(change(classify, changes))
    assert layers_of(found) == expected
    assert {"head.weight", "head.bias"} <= {row["name"] for row in found["tensors"]}


def test_targets_are_chosen_by_name_and_the_head_may_stand_alone(classify: RunConfig, change: Change) -> None:
    found = trainable_rows(change(classify, {"adapter.targets": ["query"]}))
    names = [row["name"] for row in found["tensors"] if not row["name"].startswith("head.")]
    assert names
    assert all(".query." in name for name in names)
    hidden = trainable_rows(change(classify, {"adversary": {"column": "sex", "groups": ["f", "m", "x"]}}))
    rates = {row["name"]: (row["shape"], row["learning_rate"]) for row in hidden["tensors"]}
    assert rates["adversary.weight"] == ([3, 32], classify.training.head_learning_rate)
    alone = trainable_rows(change(classify, {"adapter.rank": 0}))
    assert {row["name"] for row in alone["tensors"]} == {"head.weight", "head.bias"}


def test_rank_stabilised_scaling_divides_by_the_root_of_the_rank(
    classify: RunConfig, change: Change, learner_of: LearnerOf
) -> None:
    for name, expected in (("standard", 16 / 4), ("rank-stabilised", 16 / 2)):
        learner = learner_of(change(classify, {"adapter.rank": 4, "adapter.alpha": 16, "adapter.scaling": name}))
        scales = {layer.scaling["default"] for layer in learner.model.modules() if isinstance(layer, Linear)}
        assert scales == {expected}


def test_layers_that_do_not_fit_are_refused(classify: RunConfig, change: Change) -> None:
    with pytest.raises(ModelError, match="there is no layer 2; this model has layers 0 to 1"):
        trainable_rows(change(classify, {"adapter.layers": [0, 2]}))
    with pytest.raises(ConfigError, match="give one of them"):
        change(classify, {"adapter.layers": [0], "adapter.last_layers": 1})
    with pytest.raises(ConfigError, match="named twice"):
        change(classify, {"adapter.layers": [1, 1]})
