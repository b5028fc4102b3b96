"""The table of small inputs that once failed: each kind has a test with its right value, and two siblings."""

import tomllib
from typing import Any

import pytest
from named_tests import REPOSITORY, code, functions, left_out

CASES: list[dict[str, Any]] = tomllib.loads((REPOSITORY / "tests" / "cases.toml").read_text(encoding="utf-8"))["case"]


def test_every_kind_is_listed_once() -> None:
    assert [case["name"].partition("-")[0] for case in CASES] == [f"{number:02d}" for number in range(1, 20)]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_kind_has_its_right_value_and_two_siblings_as_tests_of_the_suite(case: dict[str, Any]) -> None:
    rows = [*case["right"], *case["siblings"]]
    assert case["right"]
    assert len({(row["test"], row["input"]) for row in case["siblings"]}) == len(case["siblings"]) >= 2
    assert not [row for row in case["siblings"] if row in case["right"]]
    for row in rows:
        path, _, name = row["test"].partition("::")
        assert name in functions(path), row
        assert not left_out(functions(path)[name]), row
        assert row["input"] in code(path, name), row
