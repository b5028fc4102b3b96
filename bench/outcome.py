"""Read test outcomes from pytest's JUnit report, and distinguish a failed assertion from a test that broke before it."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Literal

Outcome = Literal["passed", "failed", "broken", "skipped"]
# Exceptions that mean the mutated code is broken; a test that fails with one of them has not checked its claim.
NO_CLAIM = ("SyntaxError", "IndentationError", "ImportError", "ModuleNotFoundError", "NameError", "UnboundLocalError",
            "AttributeError", "TypeError")  # fmt: skip
WORST_LAST: tuple[Outcome, ...] = ("skipped", "passed", "broken", "failed")


def outcomes(report: Path) -> dict[str, Outcome]:
    """Return the outcome of each test in a JUnit report, by test id with and without parameters; empty without a report.

    A parametrised test has failed if any of its cases failed; it is broken if a case broke and none failed.
    """
    found: dict[str, Outcome] = {}
    try:
        cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314  pytest wrote this file
    except (OSError, ET.ParseError):
        return {}
    for case in cases:
        ended, whole = _outcome(case), _id(case)
        for name in {whole, whole.partition("[")[0]}:
            found[name] = max(found.get(name, ended), ended, key=WORST_LAST.index)
    return found


def _id(case: ET.Element) -> str:
    return f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"


def _outcome(case: ET.Element) -> Outcome:
    if case.find("error") is not None:  # an error during collection or set-up
        return "broken"
    failure = case.find("failure")
    if failure is None:
        return "passed" if case.find("skipped") is None else "skipped"
    raised = failure.get("message", "").partition(":")[0].rpartition(".")[2]
    return "broken" if raised in NO_CLAIM else "failed"
