"""The notebooks run from top to bottom, and hold no output of the machine on which they were written.

Their code is plain Python without magics, so it runs in a process of its own, on fewer records. A Jupyter kernel would run
the same statements, for some thirty more packages in the environment of the tests.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from forked import start_code

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SHORTER = {  # less to scrub, and more noise, whose privacy loss is faster to compute
    '"records": 300, "declared_size": 240': '"records": 60, "declared_size": 50',
    '"epsilon": 8.0': '"epsilon": 1.0',
}
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
    statements = "\n\n".join(code(path))
    for shown, shorter in SHORTER.items():
        assert (shown in statements) == (path.stem == "federation_in_ten_lines")
        statements = statements.replace(shown, shorter)
    done = start_code(statements, tmp_path, tmp_path / "log")
    done.join()
    said = (tmp_path / "log").read_text(encoding="utf-8")
    assert done.exitcode == 0, said
    assert "accuracy" in said
