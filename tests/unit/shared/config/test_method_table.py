"""The table of methods says what the config accepts and what is really sent."""

from typing import Any

import pytest
from fixture_types import ConfigOf, LearnerOf
from peft.tuners.ia3 import IA3Layer
from peft.tuners.lora import LoraLayer

from shared.adapters.peft import read_adapter
from shared.config.method_table import method_rows
from shared.config.run import RunConfig
from shared.errors import ConfigError

ADAPTERS: dict[str, dict[str, Any]] = {
    "lora, A frozen": {"rank": 3},
    "lora, A and B": {"rank": 3, "train": "AB"},
    "core": {"family": "core", "rank": 3},
    "ia3": {"family": "ia3"},
    "any": {},
}
TRUST: dict[str, dict[str, Any]] = {
    "privacy": {},
    "sums": {"privacy.trust": "distributed", "privacy.colluders": 0, "training.steps": 1,
             "aggregation.weights": "declared", "aggregation.optimiser": "adamw"},
    "central": {"privacy.trust": "central", "privacy.unit": "site"},
}  # fmt: skip


@pytest.mark.parametrize("trust", TRUST)
@pytest.mark.parametrize("row", method_rows(), ids=lambda row: f"{row['method']}, {row['adapter']}")
def test_a_row_says_yes_where_the_config_accepts_the_run_and_no_where_not(
    config_of: ConfigOf, row: dict[str, Any], trust: str
) -> None:
    sites = [{"id": f"s{number}", "declared_size": 50, "file": "a.jsonl"} for number in range(3)]
    changes = {"adapter": ADAPTERS[row["adapter"]], "aggregation": {}, "data.sites": sites, "cohort.quorum": 3}
    changes |= TRUST[trust] | {"aggregation.method": row["method"]}
    try:
        config_of(changes)
        accepted = True
    except ConfigError:
        accepted = False
    assert accepted == row[trust]


@pytest.mark.parametrize(
    "row", [row for row in method_rows() if row["method"] == "mean"], ids=lambda row: str(row["adapter"])
)
def test_a_row_gives_the_numbers_that_are_sent(classify: RunConfig, learner_of: LearnerOf, row: dict[str, Any]) -> None:
    tree = {**classify.model_dump(mode="json"), "adapter": ADAPTERS[row["adapter"]], "privacy": {"enabled": False}}
    model = learner_of(RunConfig.parse(tree, "test")).model
    sent = sum(array.size for name, array in read_adapter(model).arrays.items() if not name.startswith("head"))
    layers: list[Any] = [layer for layer in model.modules() if isinstance(layer, LoraLayer | IA3Layer)]
    formula = {"r d_out": lambda i, o: 3 * o, "r (d_in + d_out)": lambda i, o: 3 * (i + o), "r r": lambda i, o: 9}
    if row["adapter"] == "ia3":
        assert sent == sum(layer.in_features if layer.is_feedforward else layer.out_features for layer in layers)
    else:
        assert sent == sum(formula[row["numbers"]](layer.in_features, layer.out_features) for layer in layers)
