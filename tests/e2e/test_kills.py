"""Server and clients are killed at random times; each run ends whole, and no ledger loses or doubles a charge.

``python -m bench.kills --minutes N`` repeats such runs for N minutes; the test by itself makes one run.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulations.run import simulate

pytestmark = [pytest.mark.slow, pytest.mark.faults]

ROUNDS, MOST_KILLS, PAUSE = 6, 14, (0.3, 6.0)  # of one run; seconds between two kills
AT_START = 0.1  # chance of a kill while the server starts or waits; else starting would take most of the kills
MOST_SECONDS = 1200.0  # of one run
SEED = "HUSHTUNE_KILLS_SEED"
Make = Callable[..., Any]


def is_training(fed: Any) -> bool:
    """Return whether the server says that rounds are under way."""
    try:
        stage = json.loads((fed.state / "status.json").read_text())["status"]["stage"]
    except (OSError, ValueError, KeyError):  # not there yet
        return False
    return stage in ("asking", "between_rounds")


def disturbed(fed: Any, chance: random.Random, kills: Counter[str]) -> None:
    """Run a federation to its end, killing one of its processes now and then and starting it again at once."""
    running = {"server": fed.serve(), **fed.join_all()}
    left, end = MOST_KILLS, time.monotonic() + MOST_SECONDS
    following = time.monotonic() + chance.uniform(*PAUSE)
    while running["server"].poll() != 0:
        assert time.monotonic() < end, f"the run did not end:\n{running['server'].said[-1500:]}"
        for name, process in running.items():
            assert process.poll() in (None, 0), f"{name} ended by itself:\n{process.said[-1500:]}"
        if left and time.monotonic() > following:
            name = chance.choice([*running, "server"])  # the server as often as two of the sites
            if running[name].poll() is None and (is_training(fed) or chance.random() < AT_START):
                running[name].kill()
                kills["server" if name == "server" else "site"] += 1
                left -= 1
                running[name] = fed.serve() if name == "server" else fed.join(name)
            following = time.monotonic() + chance.uniform(*PAUSE)
        time.sleep(0.05)
    for name in fed.sites:
        running[name].end()


def check(fed: Any, harness: Any, epsilons: dict[str, float]) -> None:
    """Check that a run has each round once, a card that verifies, and ledgers with each round's charge once."""
    fed.assert_whole()
    run = fed.state / "run"
    assert (run / "report.html").is_file()
    for name in fed.sites:
        ledger = fed.site(name) / "state" / "ledger"
        status, said = harness.here(fed.folder, ["hushtune", "ledger", "verify", str(ledger), "--against", str(run)])
        assert status == 0, said
    status, said = harness.here(fed.folder, ["hushtune", "card", "verify", str(run)])
    assert status == 0, said
    assert {site["site_id"]: site["epsilon"] for site in fed.report["sites"]} == epsilons


def test_a_run_whose_processes_are_killed_at_random_ends_whole_and_charges_each_round_once(
    federation: Make, harness: Any
) -> None:
    seconds, out = 60 * float(os.environ.get("HUSHTUNE_KILLS_MINUTES", "0")), os.environ.get("HUSHTUNE_KILLS_OUT")
    chance = random.Random(os.environ.get(SEED))  # noqa: S311  times of kills are no secret
    start, kills, runs, epsilons = time.monotonic(), Counter[str](), 0, dict[str, float]()
    while not runs or time.monotonic() - start < seconds:
        fed = federation({"training.rounds": ROUNDS, "training.steps": 20, "privacy.enabled": True})
        try:
            disturbed(fed, chance, kills)
            if not epsilons:
                undisturbed = simulate(fed.loaded).report
                epsilons = {site["site_id"]: site["epsilon"] for site in undisturbed["sites"]}
            check(fed, harness, epsilons)
        finally:
            fed.end()
        runs += 1
        if out:
            row = {"runs": runs, "kills of the server": kills["server"], "kills of sites": kills["site"]}
            Path(out).write_text(json.dumps(row), encoding="utf-8")
