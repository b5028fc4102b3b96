"""The notebooks run from top to bottom, and hold no output of the machine on which they were written.

Their code is plain Python without magics, so it runs in a Python process of its own. A Jupyter kernel would run the same
statements, for some thirty more packages in the environment of the tests.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path) -> list[dict[str, Any]]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["metadata"]["kernelspec"]["name"]) == (4, "python3")
    return list(notebook["cells"])


def code(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "code"]


def test_there_are_two_notebooks() -> None:
    assert len(NOTEBOOKS) == 2


@each
def test_a_notebook_stores_no_outputs_and_needs_no_magics(path: Path) -> None:
    ids = [cell["id"] for cell in cells(path)]
    assert len(set(ids)) == len(ids)
    for cell in cells(path):
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    lines = [line for source in code(path) for line in source.splitlines()]
    assert not [line for line in lines if line.lstrip().startswith(("%", "!"))]


@pytest.mark.slow
@each
def test_a_notebook_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "\n\n".join(code(path))], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
