"""The README is true: each of its hushtune commands runs as it stands, in order, on a shortened demo."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHORTER = [f"data.sites.{site}.{field}" for site in range(4) for field in ("records=240", "declared_size=200")]
SHORTER += ["training.rounds=1", "training.steps=2", "privacy.epsilon=1"]
INPUTS = {"FILE": "records.jsonl", "TEXT": "please send the bill again"}


def commands() -> list[str]:
    """The commands of the README's fenced list, without their comments."""
    [block] = re.findall(r"^```\n(hushtune .*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    return [line.split("  #")[0].strip() for line in block.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder that sees the repository's configs."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "configs").symlink_to(ROOT / "configs")
    rows = [{"text": f"my bill number {i} is wrong", "label": "billing", "spans": []} for i in range(8)]
    (folder / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_readme_lists_every_command() -> None:
    assert [line.split()[1] for line in commands()] == [
        "simulate",
        "plan",
        "anonymise",
        "evaluate",
        "generate",
        "explain",
        "models",
        "trainable",
        "report",
        *["card"] * 2,
        *["ledger"] * 3,
    ]


@pytest.mark.slow
def test_every_command_of_the_readme_runs(folder: Path, harness: ModuleType) -> None:
    for line in commands():
        arguments = [INPUTS.get(word, word) for word in line.split()[1:]]
        if arguments[0] in ("simulate", "plan", "anonymise", "trainable"):
            arguments += [part for change in SHORTER for part in ("--set", change)]
        status, said = harness.here(folder, ["hushtune", *arguments])
        assert status == 0, f"{line}: {said}"
        assert "Traceback" not in said
        assert said.strip()
    assert (folder / "runs/demo/report.html").is_file()


@pytest.mark.slow
def test_the_python_of_the_readme_runs(folder: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:peft", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^    |`)make ([\w-]+)", README, flags=re.MULTILINE))
    assert named == set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
