"""The pages for newcomers are true: their commands and their Python run as they stand, in order, on a shortened demo."""

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from shared.config.task import DECLARED

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / f"{name}.md").read_text(encoding="utf-8") for name in ("README", "docs/commands", "docs/results")}
GUIDES = {name: (ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in ("quick-start", "researcher")}
SHORTER = [f"data.sites.{site}.{field}" for site in range(4) for field in ("records=60", "declared_size=50")]
SHORTER += ["training.rounds=2", "privacy.epsilon=1", "evaluation.bootstrap=100", "anonymise.workers=1"]
# The same records are scrubbed once, and the privacy loss of more noise is faster to compute.
KEPT = ["data.cache=kept", "data.cache_encrypted=false", "evaluation.bootstrap=100", "privacy.epsilon=1"]
KEPT += ["anonymise.workers=1"]
INPUTS = {"FILE": "records.jsonl", "TEXT": "please send the bill again"}
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', flags=re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """Return the commands of a page's fenced list, without their comments."""
    [block] = re.findall(r"^```\n(hushtune .*?)^```", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    return [line.split("  #")[0].strip() for line in block.splitlines()]


def shortened(words: list[str]) -> list[str]:
    """Return a command on the demo's config with a smaller federation, and one on a reader's own with a cache."""
    changes: list[str] = []
    if words[1] in ("simulate", "plan", "anonymise", "trainable") and words[2] == "configs/demo.toml":
        changes = SHORTER
    elif words[1:3] == ["simulate", "reviews.toml"]:
        changes = KEPT
    return [*words, *(part for change in changes for part in ("--set", change))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, harness: ModuleType) -> Path:
    """Make a folder that sees the repository's configs and holds a finished demo."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "configs").symlink_to(ROOT / "configs")
    rows = [{"text": f"my bill number {i} is wrong", "label": "billing", "spans": []} for i in range(8)]
    (folder / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, said = harness.here(folder, shortened(commands("docs/commands")[0].split()))
    assert status == 0, said
    return folder


def follow(folder: Path, page: str, harness: ModuleType) -> Iterator[str]:
    """Write the files of a guide and run its commands and its Python, in order; yield each block that was run."""
    for language, title, block in BLOCK.findall(page):
        if title:
            (folder / title).write_text(block, encoding="utf-8")
            if title.endswith(".py"):
                run_python(folder, title)
        elif language == "sh":
            for line in block.splitlines():
                status, said = harness.here(folder, shortened(shlex.split(line)))
                assert status == 0, f"{line}: {said}"
                assert said.strip()
                yield line


def run_python(folder: Path, script: str) -> None:
    """Run a script as a reader would: as a file, so that worker processes read it again."""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:peft", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_list_of_commands_has_every_command() -> None:
    assert [line.split()[1] for line in commands("docs/commands")] == [
        *["simulate"] * 2,
        "plan",
        "config",
        "anonymise",
        "evaluate",
        "generate",
        "explain",
        "methods",
        "models",
        "trainable",
        "report",
        *["card"] * 2,
        *["ledger"] * 3,
    ]


def test_the_readme_has_one_page_and_no_command_that_is_not_in_the_list() -> None:
    assert len(PAGES["README"].splitlines()) <= 110
    assert set(commands("README")) <= set(commands("docs/commands"))


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_every_command_of_the_list_runs(folder: Path, harness: ModuleType) -> None:
    for line in commands("docs/commands")[1:]:  # the first made the folder
        words = [INPUTS.get(word, word) for word in line.split()]
        status, said = harness.here(folder, shortened(words))
        assert status == 0, f"{line}: {said}"
        assert "Traceback" not in said
        assert said.strip()
    assert (folder / "runs/demo/report.html").is_file()


@pytest.mark.slow
def test_the_python_of_the_list_runs(folder: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGES["docs/commands"], flags=re.DOTALL)
    (folder / "load.py").write_text(code, encoding="utf-8")
    run_python(folder, "load.py")


@pytest.mark.slow
def test_the_quick_start_runs_from_top_to_bottom(folder: Path, harness: ModuleType) -> None:
    assert len(list(follow(folder, GUIDES["quick-start"], harness))) == 7
    assert (folder / "scrubbed/here.jsonl").is_file()
    assert "555-867-5309" not in (folder / "scrubbed/here.jsonl").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_researchers_guide_runs_from_top_to_bottom(tmp_path: Path, harness: ModuleType) -> None:
    (tmp_path / "my-data").mkdir()
    for site in ("north", "east"):
        with (tmp_path / f"my-data/{site}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["review", "stars"])
            writer.writerows([f"{site} {i} is {'awful' if i % 2 else 'lovely'}", 1 + 4 * (i % 2 == 0)] for i in range(60))
    assert len(list(follow(tmp_path, GUIDES["researcher"], harness))) == 8
    assert (tmp_path / "reviews.csv").read_text(encoding="utf-8").startswith("round,")


def test_the_make_targets_of_the_list_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    named = re.compile(r"(?:^    |`)make ([\w-]+)", flags=re.MULTILINE)
    assert set(named.findall(PAGES["docs/commands"])) == targets
    assert {"demo", "test"} <= set(named.findall(PAGES["README"])) <= targets


def test_the_researchers_guide_names_every_task() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", GUIDES["researcher"], flags=re.MULTILINE)) >= set(DECLARED)


def test_every_figure_of_the_readme_is_one_of_the_results() -> None:
    [table] = re.findall(r"^## Four results\n(.*?)^## ", PAGES["README"], flags=re.MULTILINE | re.DOTALL)
    figures = re.findall(r"\d+\.\d+", table)
    assert len(figures) > 10
    assert set(figures) <= set(re.findall(r"\d+\.\d+", PAGES["docs/results"]))


def test_every_table_of_results_has_a_command() -> None:
    """A row names its command, or the text above its table does."""
    sections = re.split(r"^##+ ", PAGES["docs/results"], flags=re.MULTILINE)
    tables = [section for section in sections if "|---" in section]
    assert len(tables) >= 9
    for section in tables:
        rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
        shared = "Command: `" in section
        for row in rows:
            assert shared or re.search(r"`(hushtune|make|python -m) |in the report of each run", row), row
