"""The list of attacks names tests that are there, and an attack that failed or was not tried shows."""

import ast
from pathlib import Path

import pytest
from syntax import nodes

from bench.attacks import REPOSITORY, Attack, load
from bench.outcome import Outcome

EVERY = load()


def test_every_attack_has_a_test_of_its_own() -> None:
    assert len({attack.test for attack in EVERY}) == len({attack.what for attack in EVERY}) == len(EVERY) > 50


@pytest.mark.parametrize("path", sorted({attack.test.partition("::")[0] for attack in EVERY}))
def test_the_tests_are_there(path: str) -> None:
    functions = {node.name for node in nodes(REPOSITORY / path) if isinstance(node, ast.FunctionDef)}
    assert {attack.test.partition("::")[2] for attack in EVERY if attack.test.startswith(f"{path}::")} <= functions


@pytest.mark.parametrize(
    ("found", "tried", "held"),
    [
        ({"a.py::test_x": "passed"}, 1, 1),
        ({"a.py::test_x": "failed"}, 1, 0),
        ({"a.py::test_x": "failed", "a.py::test_x[1]": "passed", "a.py::test_x[2]": "failed"}, 2, 1),
        ({"a.py::test_x": "broken"}, 1, 0),
        ({"a.py::test_x": "skipped"}, 0, 0),
        ({"a.py::test_xy": "passed"}, 0, 0),
        ({}, 0, 0),
    ],
)
def test_each_form_that_was_tried_counts_and_holds_only_if_its_test_passed(
    found: dict[str, Outcome], tried: int, held: int
) -> None:
    row = Attack("server", "what", "a.py::test_x").row(found)
    assert (row["tried"], row["held"]) == (tried, held)


def test_the_page_of_commands_names_it() -> None:
    assert "`make attack`" in Path(REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
