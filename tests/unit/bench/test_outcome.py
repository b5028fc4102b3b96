"""A test counts as failed where it came to its claim, and in no other case; pytest itself says how each one ended."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.outcome import outcomes

TESTS = """
import pytest

def test_passes(): pass
def test_claims(): assert 1 == 2
def test_expects():
    with pytest.raises(KeyError): pass
def test_stops(): raise KeyError("a failure of its own")
def test_typing_error(): no_such_name
def test_wrong_call(): len()
def test_import(): import no_such_module
def test_skipped(): pytest.skip("not here")
@pytest.fixture
def broken(): raise ValueError("at set-up")
def test_set_up(broken): pass
@pytest.mark.parametrize("number", [1, 2])
def test_of_two(number): assert number == 1
@pytest.mark.parametrize("number", [1, 2])
def test_broken_in_one(number): assert number == 1 or no_such_name
"""
ENDED = {
    "test_passes": "passed",
    "test_claims": "failed",
    "test_expects": "failed",
    "test_stops": "failed",
    "test_typing_error": "broken",
    "test_wrong_call": "broken",
    "test_import": "broken",
    "test_skipped": "skipped",
    "test_set_up": "broken",
    "test_of_two": "failed",
    "test_of_two[1]": "passed",
    "test_of_two[2]": "failed",
    "test_broken_in_one": "broken",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outcomes")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_all.py").write_text(TESTS, encoding="utf-8")
    (folder / "tests" / "test_cut.py").write_text("def test_never():\n    (", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    whole = [*command, f"--rootdir={folder}", "-c", "/dev/null", f"--junitxml={folder / 'out.xml'}", "tests"]
    subprocess.run(whole, cwd=folder, capture_output=True, check=False)
    return folder / "out.xml"


@pytest.mark.parametrize(("test", "ended"), ENDED.items())
@pytest.mark.slow
def test_each_way_of_ending_is_told_apart(report: Path, test: str, ended: str) -> None:
    assert outcomes(report)[f"tests/test_all.py::{test}"] == ended


@pytest.mark.slow  # processes of its own
def test_a_file_that_cannot_be_read_has_no_test_that_failed(report: Path) -> None:
    assert not {ended for name, ended in outcomes(report).items() if "test_cut" in name} & {"failed", "passed"}


def test_without_a_report_nothing_is_known(tmp_path: Path) -> None:
    assert outcomes(tmp_path / "none.xml") == {}
