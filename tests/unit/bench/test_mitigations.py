"""A table of mitigations: the runs differ in the mitigation alone, and a row holds what the report says."""

from pathlib import Path
from typing import Any

import pytest

from bench import mitigations
from server.report.result import RunResult
from shared.config.run import RunConfig

CONFIG = Path(__file__).parents[3] / "configs" / "bias.toml"


def report(flips: int) -> dict[str, Any]:
    """Return the parts of a run's report that a row is made of."""
    interval = {"value": flips / 100, "low": 0.0, "high": 1.0}
    swap = {"swap": "gender", "records": 100, "flips": {"count": flips, **interval}, "effect": {"value": interval}}
    names = {**swap, "swap": "names", "records": 7}
    probes = {"swaps": [names, swap], "groups": {"gaps": {"accuracy": interval}}}
    sites = [{"epsilon": 7.9}, {"epsilon": 8.0}]
    return {"probes": probes, "sites": sites, "final": {"accuracy": interval}, "seconds": 3.0}


def test_the_runs_differ_in_the_mitigation_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[RunConfig] = []

    def remembered(config: RunConfig) -> RunResult:
        ran.append(config)
        return RunResult(Path(), report(len(ran)))

    monkeypatch.setattr(mitigations, "simulate", remembered)
    rows = list(mitigations.rows(CONFIG, ["run.seed=5"]))
    assert [row["mitigation"] for row in rows] == ["none", "swapped views", "adversary"]
    assert [row["flips"]["count"] for row in rows] == [1, 2, 3]  # of gender, each of its own run
    assert {(row["flips of"], row["epsilon"]) for row in rows} == {(100, 8.0)}
    none, swapped, adversary = (config.model_dump() for config in ran)
    assert none["run"]["seed"] == 5
    assert (none["augmentation"]["swaps"], none["adversary"]) == ((), None)
    assert (swapped["augmentation"]["swaps"], swapped["adversary"]) == (("gender",), None)
    assert (adversary["augmentation"]["swaps"], adversary["adversary"]["groups"]) == ((), ("woman", "man"))
    for tree in (none, swapped, adversary):
        del tree["augmentation"], tree["adversary"]
    assert none == swapped == adversary


def test_without_a_declared_group_there_is_no_gap() -> None:
    given = report(1)
    given["probes"]["groups"] = None
    assert mitigations.row("none", given)["gap of groups"] is None
