"""Anyone can recompute a card's epsilon: docs/check_epsilon.py, with dp-accounting alone, agrees with it to 1e-6."""

import ast
import json
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from privacy.accounting import Accountant
from privacy.mechanism_event import MechanismEvent

SCRIPT = Path(__file__).parents[2] / "docs" / "check_epsilon.py"
EVENTS: tuple[MechanismEvent, ...] = (
    MechanismEvent(0.1, 1.2345, 12),
    MechanismEvent(1.0, 20.0, 1, "metrics"),
    MechanismEvent(0.1, 1.2345, 12),
)
DELTA = 3e-4
WRONG = "epsilon in the card is not the epsilon of its charges"
Check = Callable[..., object]


def write_card(folder: Path, stated: float | None, events: Sequence[MechanismEvent] = EVENTS, **privacy: object) -> Path:
    """Write a card that states an epsilon for its charges."""
    charged = [{"sampling_rate": e.sampling_rate, "noise_multiplier": e.noise_multiplier, "steps": e.steps} for e in events]
    site = {"site_id": "north", "epsilon": stated, "target_delta": DELTA, "charged": charged if stated is not None else []}
    card = {"card": {"sites": [site], "privacy": privacy}, "signature": ""}
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return folder / "card.json"


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Check:
    """Return a function that runs the script in this process on a card, and gives the status or message of its end."""

    def run(stated: float | None, **more: Any) -> object:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(write_card(tmp_path, stated, **more))])
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            return end.code or 0
        return 0

    return run


def test_the_script_is_short_and_imports_dp_accounting_alone() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 45
    names = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]  # type: ignore[union-attr]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert names == {"json", "sys", "pathlib", "dp_accounting"}


def test_it_agrees_to_a_millionth_and_no_further_off(tmp_path: Path, check: Check) -> None:
    spent = Accountant().epsilon(EVENTS, DELTA)
    apart = [sys.executable, "-I", SCRIPT, write_card(tmp_path, spent)]  # finds none of this repository's code
    done = subprocess.run(apart, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split("epsilon ")[1].split()[0]) == pytest.approx(spent, abs=1e-6)
    assert check(spent - 2e-6) == WRONG


def test_the_table_of_colluding_sites_is_recomputed(check: Check) -> None:
    sums = {"planned": 1, "smallest_sum": 3, "largest_sum": 3}
    whole = [MechanismEvent(0.1, 4.0, 12)]  # much noise, whose privacy loss is fast to compute
    left = [replace(event, noise_multiplier=event.noise_multiplier * 0.5**0.5) for event in whole]
    spent, more = Accountant().epsilon(whole, DELTA), Accountant().epsilon(left, DELTA)
    for stated, end in ((more, 0), (more * 0.99, WRONG)):
        table = [{"colluders": 1, "epsilon": spent}, {"colluders": 2, "epsilon": stated}]
        assert check(spent, events=whole, colluders={**sums, "table": table}) == end


def test_a_run_without_privacy_has_nothing_to_check(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(None) == 0
    assert "no differential privacy" in capsys.readouterr().out
