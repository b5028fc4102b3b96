"""A federation in this process trains the same model, at the same epsilon, with and without secure sums of deltas."""

import secrets
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import ConfigOf, RecordsOf

from client.data_stage.site_data import SiteData
from privacy.anonymise.scrubbed import Scrubbed
from privacy.secagg.delta_grid import DeltaGrid
from server.rounds import Round
from shared.config.run import RunConfig
from simulations.assembly import Federation, assemble, federate, held_out_records
from simulations.planning import Plans

NAMES = ("a", "b", "c")
CHANGES: dict[str, Any] = {
    "model": {"dtype": "float32", "device": "cpu", "max_length": 24},
    "adapter": {"rank": 2, "last_layers": 1},
    "training": {"rounds": 2, "steps": 2, "sampling_rate": 1.0, "learning_rate": 0.05, "head_learning_rate": 0.05},
    "data.sites": [
        {"id": name, "file": f"{name}.jsonl", "declared_size": size} for name, size in zip(NAMES, (24, 36, 24), strict=True)
    ],
    "cohort": {"quorum": 3, "min_records": 4},
    "privacy.self_check": 1,
    "aggregation": {"weights": "declared", "optimiser": "momentum"},
    "evaluation.bootstrap": 100,
}


def trained(config: RunConfig, records: Any, folder: Path) -> tuple[Federation, list[Round]]:
    data = [SiteData(site, [], Scrubbed(tuple(records[:24])), Scrubbed(tuple(records[24:]))) for site in config.data.sites]
    made = assemble(config, Plans.of(config), data, held_out_records(config, data), folder)
    return made, list(federate(made, config, secrets.token_hex(8), lambda _: None, lambda _: {}, lambda _: None))


def test_secure_sums_of_deltas_give_the_same_model_up_to_the_grid_and_the_same_ledgers_and_epsilon(
    config_of: ConfigOf, tiny_bert: Path, records_of: RecordsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without noise, and with all records in each batch, both runs compute the same deltas.
    monkeypatch.setattr("privacy.dp.mechanism.rounded_gaussian", lambda count, std, device: torch.zeros(count).long())
    monkeypatch.setattr("privacy.accounting.calibrate", lambda *target: 3.0)  # any noise multiplier within the budget
    configs = [
        config_of({**CHANGES, "model.name": str(tiny_bert), "aggregation.secure_sums": secure}) for secure in (False, True)
    ]
    records = records_of(configs[0], 30)
    runs = [trained(config, records, tmp_path / str(place)) for place, config in enumerate(configs)]
    grid, rounds = DeltaGrid.of(configs[1]), [done for _, done in runs]
    half = len(NAMES) * grid.step / (2 * sum(grid.weights.values()))
    # In the second round the sites train from adapters that differ by the grid, and steps of Adam amplify that.
    for plain, secure, near in zip(*rounds, (half, 100 * half), strict=True):
        assert plain.committed
        assert secure.committed
        for name, array in plain.adapter.arrays.items():
            np.testing.assert_allclose(secure.adapter.arrays[name], array, rtol=1e-6, atol=near)
        assert set(secure.replies) == set(NAMES)
        assert not set(secure.replies.values()) & set(plain.replies.values())  # digests of masked words
    assert any(array.any() for array in runs[0][1][0].adapter.arrays.values())
    charged = [
        {
            site.site_id: [
                {key: entry.body[key] for key in ("round", "plan", "rounds", "events", "target_delta", "unit")}
                for entry in site.budget.ledger.entries()
                if entry.kind == "reserve"
            ]
            for site in made.sites
        }
        for made, _ in runs
    ]
    assert charged[0] == charged[1]
    assert [site.budget.spent() for site in runs[0][0].sites] == [site.budget.spent() for site in runs[1][0].sites]
