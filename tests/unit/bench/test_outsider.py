"""Draws of planted texts: their areas are averaged, their counts added up, and a finished draw is not trained again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Change

from bench import outsider
from shared.config.run import RunConfig
from shared.ops.findings import write_findings


def draw(area: float, called: float) -> dict[str, Any]:
    """Return what one draw of 200 texts found in one adapter."""
    rates = [{"false_positive_rate": rate, "true_positive_rate": called} for rate in (0.001, 0.01)]
    row = {"copies": 1, "attack": "loss", "auc": area, "auc_low": area - 0.04, "auc_high": area + 0.04}
    text = {"where": "first site", "copies": 4, "mean": 10 * area, "error": 0.2}
    cell = {"anonymised": True, "private": False, "epsilon": None}
    return {"cells": [{**cell, "membership": [{**row, "rates": rates, "present": 200}], "extraction": [text]}]}


def test_the_mean_of_four_draws_is_twice_as_certain() -> None:
    [row] = outsider.membership_rows([draw(area, 0.05) for area in (0.5, 0.6, 0.7, 0.8)])
    assert row["area"] == pytest.approx({"value": 0.65, "low": 0.63, "high": 0.67})
    assert row["areas"] == "0.500 0.600 0.700 0.800"


def test_texts_found_at_few_false_alarms_are_added_up_over_draws() -> None:
    [row] = outsider.membership_rows([draw(0.6, 0.05), draw(0.6, 0.1)])
    assert row["found at 1 %"]["value"] == 30 / 400
    assert row["found at 1 %"]["low"] < 30 / 400 < row["found at 1 %"]["high"]


def test_exposures_are_averaged_with_their_errors() -> None:
    [row] = outsider.extraction_rows([draw(0.1, 0.0), draw(0.3, 0.0)])
    assert row["exposure, bits"] == pytest.approx(2.0)
    assert row["standard error"] == pytest.approx(0.2 / 2**0.5)


def test_a_draw_is_trained_again_only_if_something_else_is_asked(
    classify: RunConfig, change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, asked = change(classify, {"run.output": str(tmp_path)}), {"canaries": 20, "references": 1, "fills": 4}
    found = {"config_digest": config.digest(), **asked, "strong_enough": True, "cells": []}
    write_findings(config.run.output / config.run.name, "adapter", found)
    trained: list[int] = []

    def attacked(config: RunConfig, canaries: int, *_: object) -> Mapping[str, Any]:
        trained.append(canaries)
        return {}

    monkeypatch.setattr(outsider, "audit_adapter", attacked)
    assert outsider.found_with(config, asked)["cells"] == []
    assert trained == []
    outsider.found_with(config, {**asked, "canaries": 30})
    outsider.found_with(change(config, {"training.rounds": 7}), asked)
    assert trained == [30, 20]
