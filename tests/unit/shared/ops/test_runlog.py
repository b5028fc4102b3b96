import json
from pathlib import Path
from typing import Any

import pytest

from shared.ops import runlog
from shared.ops.event_printer import EventPrinter
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


def test_a_full_log_is_moved_aside_and_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runlog, "FULL", 200)
    log = RunLog(tmp_path / "events.jsonl")
    for number in range(200):
        log.event("round", round=number)
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["events.jsonl", *(f"events.jsonl.{n}" for n in range(1, runlog.KEPT + 1))]
    assert all(path.stat().st_size < 300 for path in files)
    assert json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])["round"] == 199


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("connected", {"host": "fed.example", "port": 8443}, "connected to fed.example:8443"),
        ("trained", {"run_id": "r", "round": 3, "seconds": 1.5}, "round 3: trained in 1.5 s"),
        ("refused", {"round": 3, "reason": "PolicyRefused:tasks"}, "round 3: refused because of PolicyRefused:tasks"),
        ("paraphrases", {"kept": 3, "run_id": "r"}, "paraphrases kept=3"),
        ("trained", {"round": 3}, "trained round=3"),
        ("step", {"step": "assess"}, "measuring what the anonymiser finds in these records"),
        ("step", {"step": "anonymise", "done": 40, "of": 100, "a_second": 2.5}, "anonymised 40 of 100 records"),
        ("step", {"step": "another", "done": 1}, "step step=another done=1"),
    ],
)
def test_each_event_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, fields: dict[str, Any], said: str
) -> None:
    RunLog(tmp_path / "events.jsonl", EventPrinter()).event(kind, **fields)
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.strip().endswith(said)
    RunLog(tmp_path / "events.jsonl", EventPrinter(structured=True)).event(kind, **fields)
    told = json.loads(capsys.readouterr().err)
    assert told.pop("time") > 0
    assert told == {"event": kind, **fields}
