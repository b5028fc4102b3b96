"""Anyone can recompute a card's epsilon: docs/check_epsilon.py, with dp-accounting alone, agrees with it to 1e-6."""

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from privacy.accounting import epsilon
from privacy.mechanism_event import MechanismEvent

SCRIPT = Path(__file__).parents[2] / "docs" / "check_epsilon.py"
EVENTS = (MechanismEvent(0.1, 1.2345, 12), MechanismEvent(1.0, 20.0, 1, "metrics"), MechanismEvent(0.1, 1.2345, 12))
DELTA = 3e-4


def check(folder: Path, stated: float | None, **privacy: object) -> subprocess.CompletedProcess[str]:
    """Run the script, away from this repository's code, on a card that states an epsilon for its charges."""
    charged = [{"sampling_rate": e.sampling_rate, "noise_multiplier": e.noise_multiplier, "steps": e.steps} for e in EVENTS]
    site = {"site_id": "north", "epsilon": stated, "target_delta": DELTA, "charged": charged if stated is not None else []}
    (folder / "card.json").write_text(
        json.dumps({"card": {"sites": [site], "privacy": privacy}, "signature": ""}), encoding="utf-8"
    )
    return subprocess.run(
        [sys.executable, "-I", SCRIPT, folder / "card.json"], capture_output=True, text=True, check=False, cwd=folder
    )


def test_the_script_is_short_and_imports_dp_accounting_alone() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 45
    names = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]  # type: ignore[union-attr]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert names == {"json", "sys", "pathlib", "dp_accounting"}


def test_it_agrees_to_a_millionth_and_no_further_off(tmp_path: Path) -> None:
    spent = epsilon(EVENTS, DELTA)
    done = check(tmp_path, spent)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split("epsilon ")[1].split()[0]) == pytest.approx(spent, abs=1e-6)
    wrong = check(tmp_path, spent - 2e-6)
    assert wrong.returncode == 1
    assert "not the epsilon of its charges" in wrong.stderr


def test_the_table_of_colluding_sites_is_recomputed(tmp_path: Path) -> None:
    sums = {"planned": 1, "smallest_sum": 3, "largest_sum": 3}
    left = [replace(event, noise_multiplier=event.noise_multiplier * 0.5**0.5) for event in EVENTS]
    spent, more = epsilon(EVENTS, DELTA), epsilon(left, DELTA)
    for stated, code in ((more, 0), (more * 0.99, 1)):
        table = [{"colluders": 1, "epsilon": spent}, {"colluders": 2, "epsilon": stated}]
        assert check(tmp_path, spent, colluders={**sums, "table": table}).returncode == code


def test_a_run_without_privacy_has_nothing_to_check(tmp_path: Path) -> None:
    done = check(tmp_path, None)
    assert done.returncode == 0
    assert "no differential privacy" in done.stdout
