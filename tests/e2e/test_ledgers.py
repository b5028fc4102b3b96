"""Ledgers over two runs of real processes: what the server saw in the first one counts in the second."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.faults]

Make = Callable[..., Any]


def test_a_ledger_that_started_again_between_two_runs_is_refused_by_what_the_server_saw(federation: Make) -> None:
    """Both copies at the site came back from before the first run; the second run's first order tells them."""
    fed = federation({"training.rounds": 1, "cohort.quorum": 2})
    clients = fed.join_all()
    first = fed.serve()
    assert first.wait() == 0, first.said
    heads = json.loads((fed.state / "ledger_heads.json").read_text())
    assert [head["entries"] for head in heads.values()] == [3, 3, 3]
    clients["north"].kill()
    shutil.rmtree(fed.site("north") / "state" / "ledger")
    (fed.site("north") / "ledger_head.json").unlink()
    north = fed.join("north")
    again = fed.serve("--set", "run.name=second", "--set", "training.learning_rate=0.02")
    assert again.wait() == 0, again.said
    [done] = fed.report["rounds"]
    assert sorted(done["ledgers"]) == ["east", "south"]
    [refused] = [event for event in fed.events() if event["event"] == "rejected"]
    assert (refused["site_id"], refused["reason"]) == ("north", "LedgerError")
    assert "ends at entry 0, but entry 2 was seen before" in north.said
    assert [json.loads(line)["kind"] for line in (fed.site("north") / "state" / "ledger" / "ledger.jsonl").open()] == [
        "open"
    ]
