"""The seeded faults fit the code, their page fits them, and only a test that fails on its claim has caught one."""

import ast
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from syntax import tree

from bench.mutants import REPOSITORY, TABLE, Copy, Mutant, judged, load, mutated, table, verdict
from bench.trial import Laboratory
from shared.errors import RunError

EVERY = load()


@cache
def functions(path: str) -> frozenset[str]:
    return frozenset(node.name for node in tree(REPOSITORY / path).body if isinstance(node, ast.FunctionDef))


def mutant(**changes: object) -> Mutant:
    given = {"name": "sum", "fault": "A sum is a difference.", "file": "sums.py", "old": "a + b", "new": "a - b"}
    return Mutant.model_validate({**given, "tests": ("tests/test_sums.py::test_sum",), **changes})


def test_every_fault_still_fits_the_code_and_its_tests_are_there() -> None:
    for each in EVERY:
        assert mutated(each, (REPOSITORY / each.file).read_text(encoding="utf-8")).count(each.new) >= 1, each.name
        for test in each.tests:
            path, _, name = test.partition("::")
            assert path.startswith("tests/unit/"), test
            assert name.partition("[")[0] in functions(path), test


def test_the_page_is_that_of_the_faults() -> None:
    assert TABLE.read_text(encoding="utf-8") == table(EVERY)
    assert len(EVERY) >= 50


def test_every_fault_is_said_in_a_sentence_of_its_own() -> None:
    said = [each.fault for each in EVERY]
    assert len(set(said)) == len(said)
    assert all(sentence.endswith(".") and "|" not in sentence and "\n" not in sentence for sentence in said)


@pytest.mark.parametrize(
    ("changes", "source", "says"),
    [
        ({}, "x = a * b", "its old text occurs 0 times instead of once"),
        ({}, "x = a + b\ny = a + b", "its old text occurs 2 times instead of once"),
        ({"new": "a - (b"}, "x = a + b", "with its new text the file is not valid Python"),
        ({"new": "(a + b)"}, "x = a + b", "its new text has the same meaning as the old one"),
    ],
)
def test_a_fault_that_does_not_fit_is_refused_in_one_sentence(changes: dict[str, object], source: str, says: str) -> None:
    with pytest.raises(RunError, match=f"sums.py: fault sum: {says}") as caught:
        mutated(mutant(**changes), source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", ["[", "[sum]\nfault = 'f'", "sum = 3", "[sum]\nfault='f'\nfile='f'\nold='a'\nnew='b'\ntests=[]"]
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "mutants.toml").write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match="not a list of faults"):
        load(tmp_path / "mutants.toml")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"a": "failed", "b": "failed"}, "caught"),
        ({"a": "failed", "b": "passed"}, "survived"),
        ({"a": "failed", "b": "broken"}, "broken"),
        ({"a": "failed", "b": "skipped"}, "survived"),
        ({"a": "failed"}, "broken"),  # b was never run
        ({}, "broken"),
    ],
)
def test_a_fault_is_caught_where_each_named_test_fails_on_its_claim(found: dict[str, object], said: str) -> None:
    assert verdict(("a", "b"), found) == said  # type: ignore[arg-type]


@pytest.fixture
def repository(tmp_path: Path) -> Callable[[str], Path]:
    """Make a repository of one module and one test, with our pytest plugin in it."""

    def make(test: str) -> Path:
        root = tmp_path / "repository"
        for name, text in {
            "sums.py": "def total(a, b):\n    return a + b\n",
            "tests/test_sums.py": f"def test_sum():\n    {test}\n",
            "bench/determined.py": (REPOSITORY / "bench" / "determined.py").read_text(encoding="utf-8"),
            "bench/__init__.py": "",
            "pyproject.toml": "[tool.pytest.ini_options]\n",
        }.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        subprocess.run(["git", "init", "-q", root], check=True)
        return root

    return make


@pytest.mark.slow
def test_a_fault_is_tried_in_a_copy_and_the_code_stays_as_it_is(repository: Callable[[str], Path]) -> None:
    root = repository("from sums import total; assert total(2, 3) == 5")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert [said for _, said, _ in judged([mutant()], root, Laboratory(("pytest", "hypothesis")), at_once=1)] == ["caught"]
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_test_that_fails_without_a_fault_catches_none(repository: Callable[[str], Path]) -> None:
    root = repository("from sums import total; assert total(2, 3) == 6")
    with pytest.raises(RunError, match=r"tests/test_sums\.py::test_sum: does not pass on the code without a fault"):
        list(judged([mutant()], root, Laboratory(("pytest", "hypothesis")), at_once=1))


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a git repository"):
        Copy(tmp_path, tmp_path / "copy")
