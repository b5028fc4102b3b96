"""SECURITY.md is held to its word: every claim names code and a test that are there."""

import re

import pytest
from claims import Claims
from named_tests import REPOSITORY, functions, left_out

ROW = re.compile(r"^\| (?P<claim>[^|]+) \| (?P<code>[^|]+) \| `(?P<test>tests/[^`|]+)` \|$", re.M)
CLAIMS = [match.groupdict() for match in ROW.finditer((REPOSITORY / "SECURITY.md").read_text(encoding="utf-8"))]


def test_the_table_is_read_whole() -> None:
    text = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
    table = text[text.index("| Claim |") : text.index("## What is not covered")]
    lines = [line for line in table.splitlines() if line.startswith("|") and "`tests/" in line]
    assert len(CLAIMS) == len(lines) >= 40


def test_the_code_that_enforces_a_claim_is_there() -> None:
    paths = {row["claim"]: re.findall(r"`([^`]+)`", row["code"]) for row in CLAIMS}
    assert [claim for claim, named in paths.items() if not named] == []
    assert [path for named in paths.values() for path in named if not (REPOSITORY / path).is_file()] == []


def test_the_test_of_a_claim_is_there_and_runs_in_every_suite() -> None:
    for row in CLAIMS:
        path, _, name = row["test"].partition("::")
        assert functions(path), row["test"]
        assert not name or name in functions(path), row["test"]
        chosen = [functions(path)[name]] if name else list(functions(path).values())
        assert not [mark for function in chosen for mark in left_out(function)], row["test"]


def report(name: str, outcome: str) -> pytest.TestReport:
    return pytest.TestReport(name, ("", 0, ""), {}, outcome, None, "call")  # type: ignore[arg-type]


def test_a_claim_counts_as_tested_when_its_own_test_passed_and_not_when_it_was_skipped_or_left_out() -> None:
    claims = Claims()
    for name in sorted(claims.names)[1:]:
        claims.pytest_runtest_logreport(report(f"{name}[a-1]" if "::" in name else f"{name}::test_a", "passed"))
    assert claims.missing == sorted(claims.names)[:1]
    claims.pytest_runtest_logreport(report(claims.missing[0], "skipped"))
    assert claims.missing
    claims.pytest_runtest_logreport(report(claims.missing[0], "passed"))
    assert not claims.missing
