"""How tests ended, from pytest's own report: whether one failed on what it claims, or never came to its claim."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Literal

Outcome = Literal["passed", "failed", "broken", "skipped"]
# What a typing error raises, and no claim of a test does.
NO_CLAIM = ("SyntaxError", "IndentationError", "ImportError", "ModuleNotFoundError", "NameError", "UnboundLocalError",
            "AttributeError", "TypeError")  # fmt: skip
WORST_LAST: tuple[Outcome, ...] = ("skipped", "passed", "broken", "failed")


def outcomes(report: Path) -> dict[str, Outcome]:
    """Return how each test of a JUnit report ended, by its id without and with parameters; nothing without a report.

    A test with several sets of parameters has failed where one of them has; it is broken where one is and none failed.
    """
    found: dict[str, Outcome] = {}
    try:
        cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314  pytest wrote it a moment ago
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
    if case.find("error") is not None:  # while it was collected or set up
        return "broken"
    failure = case.find("failure")
    if failure is None:
        return "passed" if case.find("skipped") is None else "skipped"
    raised = failure.get("message", "").partition(":")[0].rpartition(".")[2]
    return "broken" if raised in NO_CLAIM else "failed"
