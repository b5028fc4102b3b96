"""Processes are killed at named points and started again with the same command; no round is lost, and nothing differs."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.ops.crash_points import SERVER_POINTS, SITE_POINTS
from simulations.run import simulate

pytestmark = [pytest.mark.slow, pytest.mark.faults]

Make = Callable[..., Any]
KILLED = -9


def same_as_undisturbed(fed: Any, private: bool) -> None:
    """Check that a disturbed run has every round once, and the same adapter as the undisturbed run."""
    fed.assert_whole()
    undisturbed = simulate(fed.loaded).report
    if private:
        epsilons = [[site["epsilon"] for site in report["sites"]] for report in (fed.report, undisturbed)]
        assert epsilons[0] == epsilons[1]
    else:
        assert fed.report["adapter"]["digest"] == undisturbed["adapter"]["digest"]
        assert fed.report["final"] == undisturbed["final"]


@pytest.mark.parametrize("private", [False, True], ids=["plain", "private"])
def test_a_server_killed_at_each_point_of_a_round_loses_none(federation: Make, private: bool) -> None:
    fed = federation({"training.rounds": len(SERVER_POINTS), "privacy.enabled": private})
    clients = fed.join_all()
    for number, point in enumerate(SERVER_POINTS, start=1):
        assert fed.serve(fault=f"{point}@{number}").wait() == KILLED, point
    last = fed.serve()
    assert last.wait() == 0, last.said
    assert [client.poll() for client in clients.values()] == [None] * 3  # they came through it all
    same_as_undisturbed(fed, private)


@pytest.mark.parametrize("private", [False, True], ids=["plain", "private"])
def test_a_site_killed_at_each_point_comes_back_and_trains_nothing_twice(federation: Make, private: bool) -> None:
    fed = federation({"training.rounds": len(SITE_POINTS), "privacy.enabled": private})
    server = fed.serve()
    fed.join("east")
    fed.join("north")
    for number, point in enumerate(SITE_POINTS, start=1):
        assert fed.join("south", fault=f"{point}@{number}").wait() == KILLED, point
    fed.join("south")
    assert server.wait() == 0, server.said
    assert fed.report["failures"] == []  # the server asked again when the site was back, in the same round
    same_as_undisturbed(fed, private)
