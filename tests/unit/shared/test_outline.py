import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.outline import leaves, written

words = st.text(st.characters(categories=("L", "Nd")), min_size=1, max_size=8)
trees = st.recursive(words | st.integers() | st.booleans(), lambda t: st.lists(t, max_size=4) | st.dictionaries(words, t))


def everything(tree: Any) -> set[str]:
    """Each key and leaf."""
    if isinstance(tree, dict):
        return {*(key for key, child in tree.items() if everything(child)), *set().union(*map(everything, tree.values()))}
    if isinstance(tree, list):
        return set().union(*map(everything, tree))
    return {str(tree)}


def test_each_value_has_a_line_with_the_names_that_lead_to_it() -> None:
    row = {
        "contact": {"first name": "Jo", "phones": [5550123, "+1 2"], "fax": None},
        "note": "hello\nthere",
        "born": datetime.date(1990, 1, 2),
        "photo": b"\0",
        "": " ",
    }
    assert written(row).splitlines() == [
        "contact first name: Jo", "contact phones: 5550123", "contact phones: +1 2", "note: hello", "there",
        "born: 1990-01-02",
    ]  # fmt: skip
    assert written(["a", 2]) == "a\n2"


@given(trees)
def test_no_key_or_leaf_is_left_out(tree: Any) -> None:
    said = written(tree)
    assert all(part in said for part in everything(tree))
    assert all(leaf in said for _, leaf in leaves(tree))
