"""Secure sums over TLS: a server and three clients as processes, killed at their worst moments, and what they charge."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from shared.ops.crash_points import SITE_POINTS

pytestmark = pytest.mark.slow

Make = Callable[..., Any]
KILLED = -9
SHARED = {
    "privacy.enabled": True,
    "privacy.epsilon": 1.0,  # more noise, whose privacy loss is faster to compute in each process
    "privacy.trust": "distributed",
    "privacy.spare_attempts": 1.0,
    "aggregation.weights": "declared",
    "aggregation.optimiser": "adamw",
    "training.steps": 1,
    "cohort.pause": 0.1,
    "data.source": "sites",
}


def verified(fed: Any, harness: Any, trust: str = "distributed") -> dict[str, list[int]]:
    """Verify the card of a finished run, and return the rounds that it charges to each site."""
    run = fed.state / "run"
    for name in fed.sites:  # a verifier that has the sites' ledgers compares them too
        shutil.copytree(fed.site(name) / "state" / "ledger", run / "ledger" / name)
    status, said = harness.here(fed.folder, ["hushtune", "card", "verify", str(run)])
    assert status == 0, said
    card = json.loads((run / "privacy_card.json").read_text())["card"]
    assert card["privacy"]["trust"] == trust
    return {site["site_id"]: [row["round"] for row in site["charged"]] for site in card["sites"]}


def test_a_federation_that_shares_one_noise_survives_a_server_killed_between_the_phases(
    federation: Make, harness: Any
) -> None:
    fed = federation({**SHARED, "training.rounds": 2})
    clients = fed.join_all()
    assert fed.serve(fault="between@2").wait() == KILLED  # after it wrote down that it asks, and before it asks
    server = fed.serve()
    assert server.wait() == 0, server.said
    assert [client.poll() for client in clients.values()] == [None] * 3
    assert [done["round"] for done in fed.report["rounds"] if done["committed"]] == [1, 2]
    card = verified(fed, harness)
    for name in fed.sites:
        assert fed.reserved(name) == [1, 2]
        assert card[name] == [1, 2, 2]  # the attempt that the killed server was about to ask for counts too
        assert {event["event"] for event in fed.events(name)} >= {"ready", "masked"}


def test_a_federation_that_adds_up_deltas_charges_each_round_once_also_when_the_server_is_killed_between_the_phases(
    federation: Make, harness: Any
) -> None:
    local = {**SHARED, "privacy.trust": "local", "aggregation.optimiser": "plain", "aggregation.secure_sums": True}
    fed = federation({**local, "cohort.quorum": 3, "training.rounds": 2})
    clients = fed.join_all()
    assert fed.serve(fault="between@2").wait() == KILLED
    server = fed.serve()
    assert server.wait() == 0, server.said
    assert [client.poll() for client in clients.values()] == [None] * 3
    assert [done["round"] for done in fed.report["rounds"] if done["committed"]] == [1, 2]
    assert verified(fed, harness, "local") == {name: [1, 2] for name in fed.sites}
    for name in fed.sites:
        assert fed.reserved(name) == [1, 2]
        ledger, run = str(fed.site(name) / "state" / "ledger"), str(fed.state / "run")
        status, said = harness.here(fed.folder, ["hushtune", "ledger", "receipt", ledger, run])
        assert status == 0, said


@pytest.mark.faults
def test_a_site_killed_at_each_point_loses_at_most_the_attempt_and_every_attempt_is_charged(
    federation: Make, harness: Any
) -> None:
    fed = federation({**SHARED, "training.rounds": len(SITE_POINTS)})
    server = fed.serve()
    for name in fed.sites[:2]:
        fed.join(name)
    for number, point in enumerate(SITE_POINTS, start=1):
        assert fed.join("south", fault=f"{point}@{number}").wait() == KILLED, point
    fed.join("south")
    assert server.wait() == 0, server.said
    assert [done["round"] for done in fed.report["rounds"] if done["committed"]] == [1, 2, 3, 4]
    # Killed between the charge and the vector, an attempt is lost and stays spent; a vector that was stored is sent again.
    twice = 1 + SITE_POINTS.index("reserved")
    expected = sorted([1, 2, 3, 4, twice])
    assert {name: fed.reserved(name) for name in fed.sites} == dict.fromkeys(fed.sites, expected)
    assert verified(fed, harness) == dict.fromkeys(fed.sites, expected)
