"""Processes are killed at named points and started again with the same command; no round is lost, and nothing differs."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.faults import SERVER_POINTS, SITE_POINTS
from simulations.run import simulate

pytestmark = pytest.mark.slow

Make = Callable[..., Any]
KILLED = -9


class Silent:
    """A progress that nobody watches."""

    def stage(self, name: str, total: int) -> None:
        pass

    def advance(self, count: int) -> None:
        pass


def test_a_server_killed_at_each_point_of_a_round_loses_none_and_ends_with_the_same_adapter(federation: Make) -> None:
    fed = federation({"training.rounds": len(SERVER_POINTS)})
    clients = fed.join_all()
    for number, point in enumerate(SERVER_POINTS, start=1):
        assert fed.serve(fault=f"{point}@{number}").wait() == KILLED, point
    last = fed.serve()
    assert last.wait() == 0, last.said
    undisturbed = simulate(fed.loaded, Silent())[1]
    assert fed.report["adapter"]["digest"] == undisturbed["adapter"]["digest"]
    committed = [done["round"] for done in fed.report["rounds"] if done["committed"]]
    assert committed == list(range(1, len(SERVER_POINTS) + 1))
    assert fed.report["final"] == undisturbed["final"]
    assert [client.poll() for client in clients.values()] == [None] * 3  # they came through it all


def test_a_site_killed_at_each_point_comes_back_and_the_adapter_is_the_same(federation: Make) -> None:
    fed = federation({"training.rounds": len(SITE_POINTS)})
    server = fed.serve()
    fed.join("east")
    fed.join("north")
    for number, point in enumerate(SITE_POINTS, start=1):
        assert fed.join("south", fault=f"{point}@{number}").wait() == KILLED, point
    fed.join("south")
    assert server.wait() == 0, server.said
    undisturbed = simulate(fed.loaded, Silent())[1]
    assert fed.report["adapter"]["digest"] == undisturbed["adapter"]["digest"]
    assert [done["round"] for done in fed.report["rounds"] if done["committed"]] == [1, 2, 3, 4]
    assert fed.report["failures"] == []  # the server asked again when the site was back, in the same round
