from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.records.spans import Edit, applied, carried, follow
from shared.records.types import Span

borders = st.lists(st.integers(0, 24), unique=True, max_size=8).map(sorted)


def pairs(places: list[int]) -> list[tuple[int, int]]:
    return list(zip(places[::2], places[1::2], strict=False))


@given(borders, borders, st.lists(st.integers(0, 5), min_size=4, max_size=4))
def test_what_is_not_replaced_keeps_its_label_and_a_replacement_has_one(
    tagged: list[int], replaced: list[int], lengths: list[int]
) -> None:
    text = "abcdefghijklmnopqrstuvwxyz"
    spans = [Span(str(number), *ends) for number, ends in enumerate(pairs(tagged))]
    edits = [Edit(*ends, "#" * size) for ends, size in zip(pairs(replaced), lengths, strict=False)]
    after, moved = applied(text, edits), follow(spans, edits)
    assert all(0 <= span.start < span.end <= len(after) for span in moved)
    assert all(one.end <= other.start for one, other in pairwise(moved))
    labels = {place: span.label for span in spans for place in range(span.start, span.end)}
    now = {place: span.label for span in moved for place in range(span.start, span.end)}
    for place, letter in enumerate(after):
        if letter != "#":
            assert now.get(place) == labels.get(text.index(letter))
    for number, edit in enumerate(edits):
        start = edit.start + sum(len(e.value) - (e.end - e.start) for e in edits[:number])
        under = [labels[place] for place in range(edit.start, edit.end) if place in labels]
        found = {now.get(place) for place in range(start, start + len(edit.value))}
        assert found <= ({max(under, key=under.count)} if under else {None}) or len(set(under)) > 1
        assert len(found) <= 1


@pytest.mark.parametrize(
    ("spans", "edits", "expected"),
    [
        ([(4, 12)], [(4, 12, "<PERSON_1>")], [(4, 14)]),  # a name becomes a placeholder
        ([(7, 12)], [(4, 12, "<P>")], [(4, 7)]),  # the replaced stretch is longer than the tag
        ([(4, 20)], [(6, 10, "")], [(4, 16)]),  # within the tag
        ([(0, 6), (6, 9)], [(4, 9, "xx")], [(0, 4), (4, 6)]),  # over two tags: the one with more of it
        ([(0, 3), (4, 9)], [(0, 9, "xx")], [(0, 2)]),
    ],
)
def test_tags_follow_by_hand(
    spans: list[tuple[int, int]], edits: list[tuple[int, int, str]], expected: list[tuple[int, int]]
) -> None:
    moved = follow([Span("A", *ends) for ends in spans], [Edit(*edit) for edit in edits])
    assert [(span.start, span.end) for span in moved] == expected


def test_a_change_carries_spans_along_unless_it_reaches_across_an_end() -> None:
    assert carried("a  b", [Span("A", 3, 4)], lambda text: text.replace("  ", " "), "a b") == (Span("A", 2, 3),)
    assert carried("a  b", [Span("A", 2, 4)], lambda text: text.replace("  ", " "), "a b") is None
    assert carried("ab", [Span("A", 1, 3)], str, "ab") is None
