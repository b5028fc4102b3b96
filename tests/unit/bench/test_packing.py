"""The bench of padding: each variant takes whole steps on the same records, and the padding is counted."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from fixture_types import ConfigOf
from torch import nn

from bench import packing as module
from privacy.dp.engine import PrivateStep
from shared.config.run import RunConfig
from shared.models.load import LoadedModel
from shared.models.packing import place_in
from shared.tasks.base import Learner, Task

TEXTS = ["aia", "aia bjb", "aia bjb cic did", "aia bjb cic did eie fjf"]


@pytest.fixture
def config(config_of: ConfigOf, tiny_bert: Path, tmp_path: Path) -> RunConfig:
    rows = [json.dumps({"text": text, "label": "yes"}) for text in TEXTS * 5]
    (tmp_path / "north.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "south.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    changes = {"model.name": str(tiny_bert), "model.dtype": "float32", "model.device": "cpu", "adapter.rank": 2}
    return config_of({**changes, "data.root": str(tmp_path), "training.sampling_rate": 0.5})


def test_each_variant_has_a_row_beside_the_padded_one(config: RunConfig) -> None:
    rows, padding = module.measure(config, 3)
    assert [row["variant"] for row in rows] == list(module.VARIANTS)
    assert rows[0]["time_ratio"] == rows[0]["processor_ratio"] == 1.0
    assert all(float(row["seconds"]) > 0 for row in rows)
    assert 0 < padding < 0.5


def test_only_the_padded_variant_computes_padding(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    made: list[Learner] = []
    original = PrivateStep.accumulate

    def kept(base: LoadedModel, task: Task, model: nn.Module) -> Learner:
        made.append(Learner(base, task, model))
        return made[0]

    def watched(step: PrivateStep, owners: Sequence[int] = ()) -> None:
        seen.append(place_in(made[0].base.network) is not None)
        original(step, owners)

    monkeypatch.setattr(module, "Learner", kept)
    monkeypatch.setattr(PrivateStep, "accumulate", watched)
    module.measure(config, 2)
    assert seen == [False, True, True, False, False, True]  # each turn begins with another variant
