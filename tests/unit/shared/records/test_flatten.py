import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.records.flatten import as_text, leaves, nested_as_text

words = st.text(st.characters(categories=("L", "Nd")), min_size=1, max_size=8)
trees = st.recursive(words | st.integers() | st.booleans(), lambda t: st.lists(t, max_size=4) | st.dictionaries(words, t))


def everything(tree: Any) -> set[str]:
    """Each key and leaf."""
    if isinstance(tree, dict):
        return {*(key for key, child in tree.items() if everything(child)), *set().union(*map(everything, tree.values()))}
    if isinstance(tree, list):
        return set().union(*map(everything, tree))
    return {as_text(tree)}


def test_each_value_has_a_line_with_the_names_that_lead_to_it() -> None:
    row = {
        "contact": {"first name": "Jo", "phones": [5550123, "+1 2"], "fax": None},
        "note": "hello\nthere",
        "born": datetime.date(1990, 1, 2),
        "photo": b"\0",
        "": " ",
    }
    assert nested_as_text(row).splitlines() == [
        "contact first name: Jo", "contact phones: 5550123", "contact phones: +1 2", "note: hello", "there",
        "born: 1990-01-02",
    ]  # fmt: skip
    assert nested_as_text(["a", 2]) == "a\n2"


@given(trees)
def test_no_key_or_leaf_is_left_out(tree: Any) -> None:
    said = nested_as_text(tree)
    assert all(part in said for part in everything(tree))
    assert all(leaf in said for _, leaf in leaves(tree))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (17, "17"), (17.0, "17"), (Decimal("17.00"), "17"), (-0.5, "-0.5"), (10**20, "1" + "0" * 20), (1e20, "1" + "0" * 20),
        (True, "true"), (False, "false"), (None, ""), (float("nan"), ""), (Decimal("NaN"), ""), (" ", ""), ("0042", "0042"),
        ("17.0", "17.0"), (datetime.datetime(2020, 1, 2), "2020-01-02"), (datetime.date(2020, 1, 2), "2020-01-02"),
        (datetime.datetime(2020, 1, 2, 3, 4), "2020-01-02 03:04:00"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_one_value_is_written_alike_whatever_a_format_makes_of_it(value: Any, text: str) -> None:
    assert as_text(value) == text
