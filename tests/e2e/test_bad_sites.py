"""A site that misbehaves in each way of `misbehave` stops nobody, and is named; a bundle's code runs nowhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.faults]

REASONS = {1: "not_finite", 2: "spec", 3: "spec", 4: "form", 5: "stale", 6: "identity", 7: "error"}
LATE = 8


def test_a_bad_site_is_named_in_each_round_and_the_others_go_on(federation: Callable[..., Any], tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    fed = federation({"training.rounds": LATE, "cohort.quorum": 2, "cohort.deadline": 45.0}, given={"CANARY": str(canary)})
    server = fed.serve(misbehave="bundle")
    fed.join("east")
    fed.join("north", misbehave="rounds")
    fed.join("south")
    assert server.wait() == 0, server.said
    rounds = {done["round"]: done for done in fed.report["rounds"]}
    assert all(done["committed"] and {"east", "south"} <= set(done["accepted"]) for done in rounds.values())
    found = {number: [(r["site_id"], r["reason"]) for r in rounds[number]["rejected"]] for number in REASONS}
    assert found == {number: [("north", reason)] for number, reason in REASONS.items()}
    assert rounds[7]["rejected"][0]["detail"] == "Declined"  # not a word of the text, nor the class
    assert rounds[LATE]["missing"] == ["north"]
    assert rounds[LATE]["seconds"] <= 45 + 2  # the round ended at its deadline
    for number in rounds:
        assert any(f"site north, round {number}:" in failure for failure in fed.report["failures"])
    # No words of a record or an exception left the site.
    assert "patient" not in server.said + (fed.state / "run" / "report.json").read_text()
    # The bundle that this server offered held code. It would have left a file.
    assert not canary.exists()
