import json
import sys
from pathlib import Path

import pytest

import hushtune
from privacy.budget import Budget, Limit
from privacy.dp.plan import PrivacyPlan
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger
from shared.head import Head

PLAN = PrivacyPlan(1.0, 20.0, 1.0, steps_per_round=1, rounds=3, target_delta=1e-4, declared_size=40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ledger = Ledger(tmp_path / "ledger", "north")
    budget = Budget(ledger, Dataset([(b"x" * 16,)]), Limit(10.0, 1e-4))
    budget.reserve("run-1", 1, PLAN, Head())
    budget.commit("run-1", 1)
    return ledger.folder


def said(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["hushtune", *arguments])
    with pytest.raises(SystemExit) as ended:
        hushtune.main()
    found = capsys.readouterr()
    return int(ended.value.code or 0), found.out, found.err


def test_ledger_show_prints_what_was_spent(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = said(["ledger", "show", str(folder)], monkeypatch, capsys)
    assert status == 0
    assert "Ledger of site north" in out
    assert "training: q 1, z 20, T 1" in out
    status, out, _ = said(["ledger", "show", str(folder), "--json"], monkeypatch, capsys)
    assert json.loads(out)["reservations"][0]["run_id"] == "run-1"


def test_ledger_verify_says_that_it_is_whole_or_names_the_first_bad_entry(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = said(["ledger", "verify", str(folder)], monkeypatch, capsys)
    assert (status, "3 entries, whole and in order" in out) == (0, True)
    path = folder / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"round":1', b'"round":2'))
    status, out, err = said(["ledger", "verify", str(folder)], monkeypatch, capsys)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "entry 1 was altered" in err


def test_ledger_export_writes_the_events(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, _ = said(["ledger", "export", str(folder), str(tmp_path / "out.json")], monkeypatch, capsys)
    assert status == 0
    events = json.loads((tmp_path / "out.json").read_text())["reservations"][0]["events"]
    assert events == [{"sampling_rate": 1.0, "noise_multiplier": 20.0, "steps": 1, "purpose": "training"}]
