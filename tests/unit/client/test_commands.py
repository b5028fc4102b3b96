import io
import json
import shutil
import sys
from pathlib import Path

import pytest
from fixture_types import Said
from site_toml import site_toml

from privacy.budget import Budget, Limit
from privacy.dp.plan import PrivacyPlan
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger
from shared.wire.chain_head import ChainHead

PLAN = PrivacyPlan(1.0, 20.0, 1.0, steps_per_round=1, rounds=3, target_delta=1e-4, declared_size=40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ledger = Ledger(tmp_path / "ledger", "north")
    budget = Budget(ledger, Dataset([(b"x" * 16,)]), Limit(10.0, 1e-4))
    budget.reserve("run-1", 1, PLAN, ChainHead())
    budget.commit("run-1", 1)
    return ledger.folder


def test_ledger_show_prints_what_was_spent(folder: Path, said: Said) -> None:
    status, out, _ = said("ledger", "show", folder)
    assert status == 0
    assert "Ledger of site north" in out
    assert "training: q 1, z 20, T 1" in out
    status, out, _ = said("ledger", "show", folder, "--json")
    assert json.loads(out)["reservations"][0]["run_id"] == "run-1"


def test_ledger_verify_says_that_it_is_whole_or_names_the_first_bad_entry(folder: Path, said: Said) -> None:
    status, out, _ = said("ledger", "verify", folder)
    assert (status, "3 entries, whole and in order" in out) == (0, True)
    path = folder / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"round":1', b'"round":2'))
    status, out, err = said("ledger", "verify", folder)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "entry 1 was altered" in err


def test_ledger_export_writes_the_events(folder: Path, tmp_path: Path, said: Said) -> None:
    status, _, _ = said("ledger", "export", folder, tmp_path / "out.json")
    assert status == 0
    events = json.loads((tmp_path / "out.json").read_text())["reservations"][0]["events"]
    assert events == [{"sampling_rate": 1.0, "noise_multiplier": 20.0, "steps": 1, "purpose": "training"}]


def test_ledger_show_tells_both_figures_and_which_of_them_counts(folder: Path, said: Said) -> None:
    _, out, _ = said("ledger", "show", folder)
    assert "(by the plan of its only run)." in out
    assert "fixed in advance" not in out
    budget = Budget(Ledger(folder, "north"), Dataset([(b"x" * 16,)]), Limit(10.0, 1e-4))
    budget.reserve("run-2", 1, PLAN, ChainHead())
    _, out, _ = said("ledger", "show", folder)
    assert "(by the privacy filter for adaptively chosen runs)." in out
    assert "If all plans had been fixed in advance, it would be 0." in out
    _, out, _ = said("ledger", "show", folder, "--json")
    found = json.loads(out)["in_all"]
    assert found["epsilon"] > found["if_planned_together"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Make a site whose second head is lost."""
    (tmp_path / "SITE.toml").write_text(site_toml('tasks = ["classification"]\nmodels = []'))
    ledger = Ledger(tmp_path / "state" / "ledger", "north", tmp_path / "ledger_head.json")
    Budget(ledger, Dataset([(b"x" * 16,)]), Limit(10.0, 1e-4)).reserve("run-1", 1, PLAN, ChainHead())
    (tmp_path / "ledger_head.json").unlink()
    return tmp_path / "SITE.toml"


@pytest.mark.parametrize("answer", ["n\n", "y\n"])
def test_ledger_confirm_says_how_far_the_ledger_goes_and_asks_first(
    site: Path, answer: str, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    status, out, _ = said("ledger", "confirm", site)
    assert "2 entries" in out
    assert "round 1 of run run-1" in out
    written = (site.parent / "ledger_head.json").exists()
    assert (status, written) == ((0, True) if answer == "y\n" else (1, False))


def test_ledger_confirm_begins_no_ledger_and_accepts_no_old_one(site: Path, said: Said) -> None:
    (site.parent / "ledger_head.json").write_text(json.dumps({"site_id": "north", "entries": 9, "hash": "e" * 64}))
    status, _, err = said("ledger", "confirm", site, "--yes")
    assert (status, err.count("\n")) == (2, 1)
    assert "is an old copy" in err
    shutil.rmtree(site.parent / "state" / "ledger")
    status, _, err = said("ledger", "confirm", site, "--yes")
    assert (status, err.count("\n")) == (2, 1)
    assert "nothing to confirm" in err
    assert not (site.parent / "state" / "ledger").exists()
