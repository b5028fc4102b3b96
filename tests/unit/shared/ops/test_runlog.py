import json
from pathlib import Path
from typing import Any

import pytest

from shared.ops.runlog import RunLog


def test_events_are_lines_in_order(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "events.jsonl")
    log.event("run_started", run_id="0ab1", rounds=3)
    log.event("rejected", site_id="north-2", reason="not_finite", committed=False, value=None)
    first, second = (json.loads(line) for line in log.path.read_text(encoding="utf-8").splitlines())
    assert (first["event"], first["run_id"], first["rounds"]) == ("run_started", "0ab1", 3)
    assert second["committed"] is False
    assert 0 <= second["time"] - first["time"] < 60


@pytest.mark.parametrize(
    "value",
    [
        "the patient said",
        "two\nlines",
        "name\n",
        "",
        "x" * 129,
        "a,b",
        '"',
        ["the patient said"],
        {"text": "the patient said"},
    ],
)
def test_free_text_is_refused_and_nothing_is_written(tmp_path: Path, value: Any) -> None:
    log = RunLog(tmp_path / "events.jsonl")
    with pytest.raises(ValueError, match="free text") as caught:
        log.event("round", detail=value)
    assert "patient" not in str(caught.value)
    assert not log.path.exists()


def test_an_event_without_a_plain_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="free text"):
        RunLog(tmp_path / "events.jsonl").event("a sentence as a name")
