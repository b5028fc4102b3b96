"""A server and three clients as processes of their own, over TLS on loopback, beside the simulation of the same run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from shared.config.run import RunConfig
from simulations.data.synthetic import DEPARTMENTS, patient_messages
from simulations.run import simulate

pytestmark = pytest.mark.slow

Make = Callable[..., Any]


def test_without_privacy_real_processes_end_with_the_simulations_adapter(federation: Make, harness: ModuleType) -> None:
    fed = federation()
    server, clients = fed.serve(), {name: fed.join(name) for name in fed.sites[:2]}
    # One site is a new Python that says what it imports, since the others are forks of one that has imported everything.
    watched = replace(fed, launcher=harness.Launcher(), given={"PYTHONPROFILEIMPORTTIME": "1"})
    clients["south"] = watched.join("south")
    assert server.wait() == 0, server.said
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in clients["south"].said.splitlines()}
    assert {"client", "privacy", "shared", "torch"} <= imported
    assert not imported & {"server", "simulations"}
    simulated = simulate(fed.loaded).report
    report = fed.report
    assert report["adapter"]["digest"] == simulated["adapter"]["digest"]
    assert report["final"] == simulated["final"]
    assert [done["metrics"] for done in report["rounds"]] == [done["metrics"] for done in simulated["rounds"]]
    assert report["rounds"][-1]["accepted"] == list(fed.sites)
    assert report["failures"] == []
    # The base model stayed loaded: one process carried out all rounds.
    orders = [event for event in fed.events("north") if event["event"] == "order"]
    assert [order["round"] for order in orders] == [1, 2]
    assert {order["process"] for order in orders} == {clients["north"].pid}
    # What the server cannot know is not in its report.
    for site in report["sites"]:
        assert site["records"] is site["held_out"] is site["quarantined"] is site["recall"] is None
    assert [client.end() for client in clients.values()] == [0, 0, 0]


def test_a_server_that_chooses_publishes_the_simulations_best_round_and_stops_with_it_though_it_was_killed(
    federation: Make,
) -> None:
    changes = {"training.rounds": 12, "training.learning_rate": 0.3, "evaluation.validation": 0.4, "evaluation.patience": 2}
    fed = federation(changes)
    simulated = simulate(fed.loaded).report
    chosen = simulated["choice"]
    assert chosen["best_round"] == chosen["last_round"] - 2  # or this test would show nothing
    for name, leaves in {"east": "false", "north": "true"}.items():  # both measure their electricity; one lets it leave
        path = fed.site(name) / "SITE.toml"
        text = path.read_text().replace("[site]\n", '[site]\nenergy = true\ncountry = "DEU"\n')
        path.write_text(text.replace("unreleased_metrics = false", f"unreleased_metrics = {leaves}"))
    clients = {name: fed.join(name, "--once") for name in fed.sites}
    assert fed.serve(fault=f"committed@{chosen['last_round'] - 1}").wait() == -9  # after the best round
    assert fed.serve(fault=f"committed@{chosen['last_round']}").wait() == -9  # and after the last
    server = fed.serve()
    assert server.wait() == 0, server.said
    report = fed.report
    assert report["choice"] == chosen
    assert report["adapter"]["digest"] == simulated["adapter"]["digest"]
    assert report["final"] == simulated["final"]
    assert [done["metrics"] for done in report["rounds"]] == [done["metrics"] for done in simulated["rounds"]]
    assert [client.wait() for client in clients.values()] == [0, 0, 0]  # the run was over for them too
    assert [set(done["site_kwh"]) for done in report["rounds"]] == [{"north"}] * chosen["last_round"]
    for name in ("east", "north"):
        took = [event for event in fed.events(name) if event["event"] == "trained"]
        assert all(event["kwh"] > 0 and event["co2e_kg"] > 0 for event in took), name
    assert not any("kwh" in event for event in fed.events("south"))


@pytest.mark.faults  # four processes and a real model: longer than all unit tests of a package
def test_with_privacy_and_a_real_model_the_report_is_the_simulations(harness: ModuleType, tmp_path: Path) -> None:
    names = ("east", "north", "south")
    tree = {
        "run": {"name": "real", "seed": 7, "output": str(tmp_path / "runs")},
        "model": {"name": "minilm", "max_length": 48},
        "adapter": {"rank": 4, "last_layers": 2},
        "task": {"labels": list(DEPARTMENTS)},
        "data": {
            "root": str(tmp_path / "fed" / "data"),
            "sites": [{"id": name, "file": f"{name}.jsonl", "declared_size": 100} for name in names],
        },
        "cohort": {"quorum": 3, "patience": 120.0},
        "training": {"rounds": 3, "steps": 2, "sampling_rate": 0.1},
        "anonymise": {"workers": 1},
        "evaluation": {"file": str(tmp_path / "fed" / "held_out.jsonl"), "bootstrap": 100},
    }
    rows = {
        name: [{"text": row["text"], "label": row["label"]} for row in patient_messages(index, 3, 140, 7)]
        for index, name in enumerate(names)
    }
    fed = harness.build(tmp_path / "fed", tree, rows, harness.Launcher())  # a new Python each, as people start them
    try:
        server = fed.serve()
        fed.join_all()
        assert server.wait() == 0, server.said
    finally:
        fed.end()
    simulated = simulate(fed.loaded).report
    report = fed.report
    assert report["config_digest"] == RunConfig.load(fed.config).digest()  # a simulation has no file of held-out records
    same = ("model", "seed", "versions", "task", "failures")
    assert {name: report[name] for name in same} == {name: simulated[name] for name in same}
    steps = dict(simulated["privacy"].pop("data_steps"))
    del steps["data.held_out"]  # the held-out records of the federation are the server's own
    assert report["privacy"].pop("data_steps") == steps
    for name in set(report["privacy"]) - {"not_protected"}:  # a simulator knows more than a server
        assert report["privacy"][name] == simulated["privacy"][name], name
    assert report["adapter"]["trainable_parameters"] == simulated["adapter"]["trainable_parameters"]
    assert report["adapter"]["digest"] != simulated["adapter"]["digest"]  # noise has no seed
    known = ("site_id", "declared_size", "epsilon", "target_delta", "noise_multiplier", "steps", "epsilon_by_round")
    for mine, theirs in zip(report["sites"], simulated["sites"], strict=True):
        assert {name: mine[name] for name in known} == {name: theirs[name] for name in known}
    for mine, theirs in zip(report["rounds"], simulated["rounds"], strict=True):
        assert (mine["accepted"], mine["committed"]) == (theirs["accepted"], theirs["committed"]) == (list(names), True)
    assert set(report["final"]) == set(simulated["final"])
