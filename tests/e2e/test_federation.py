"""A server and three clients as processes of their own, over TLS on loopback, beside the simulation of the same run."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from simulations.run import simulate

pytestmark = pytest.mark.slow

Make = Callable[..., Any]


class Silent:
    """A progress that nobody watches."""

    def stage(self, name: str, total: int) -> None:
        pass

    def advance(self, count: int) -> None:
        pass


def test_without_privacy_real_processes_end_with_the_simulations_adapter(federation: Make, harness: ModuleType) -> None:
    fed = federation(launcher=harness.Launcher())
    server, clients = fed.serve(), fed.join_all()
    assert server.wait() == 0, server.said
    _, simulated = simulate(fed.loaded, Silent())
    report = fed.report
    assert report["adapter"]["digest"] == simulated["adapter"]["digest"]
    assert report["final"] == simulated["final"]
    assert [done["metrics"] for done in report["rounds"]] == [done["metrics"] for done in simulated["rounds"]]
    assert report["rounds"][-1]["accepted"] == list(fed.sites)
    assert report["failures"] == []
    # The base model stayed loaded: one process carried out all rounds.
    orders = [event for event in fed.events("north") if event["event"] == "order"]
    assert [order["round"] for order in orders] == [1, 2, 3]
    assert {order["process"] for order in orders} == {clients["north"].pid}
    # A round of trivial training; the best of two, since others may use this machine.
    assert min(done["seconds"] for done in report["rounds"][1:]) <= 3
    # What the server cannot know is not in its report.
    for site in report["sites"]:
        assert site["records"] is site["held_out"] is site["quarantined"] is site["recall"] is None
    assert [client.end() for client in clients.values()] == [0, 0, 0]
