"""Compute the new places of labelled spans when a text is changed or parts of it are replaced."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from shared.records.types import Span


@dataclass(frozen=True, slots=True, repr=False)
class Edit:
    """The replacement of characters ``start`` to ``end`` (end excluded) by ``value``."""

    start: int
    end: int
    value: str


def applied(text: str, edits: Sequence[Edit]) -> str:
    """Return the text after some disjoint edits in reading order."""
    parts, end = [], 0
    for edit in edits:
        parts += [text[end : edit.start], edit.value]
        end = edit.end
    return "".join([*parts, text[end:]])


def follow(spans: Sequence[Span], edits: Sequence[Edit]) -> tuple[Span, ...]:
    """Return the places of labelled spans after some edits: a replacement gets the label of the characters that it replaces.

    A replacement over several spans gets the label of the span with which it shares most characters; the first span wins a
    tie. The other spans lose these characters, and a span without any left is dropped. So spans stay disjoint, and no label
    covers only a part of a replacement.

    Parameters
    ----------
    spans
        Disjoint spans of the text before the edits, in reading order.
    edits
        Disjoint edits in reading order.
    """
    owners = [_owner(spans, edit) for edit in edits]
    moved = (_moved(span, number, edits, owners) for number, span in enumerate(spans))
    return tuple(span for span in moved if span.start < span.end)


def carried(text: str, spans: Sequence[Span], change: Callable[[str], str], whole: str) -> tuple[Span, ...] | None:
    """Return the places of labelled spans after a change of the whole text; None if the places are not known.

    The pieces between the ends of spans are changed one by one. If the changed pieces join to the changed text, the places
    are exact. They are not known if the change reaches across the end of a span, or if a span lies outside the text.

    Parameters
    ----------
    text
        The text before the change.
    spans
        Spans of that text.
    change
        Function that changes a text.
    whole
        The result of ``change`` for ``text``.
    """
    if not all(0 <= span.start <= span.end <= len(text) for span in spans):
        return None
    borders = sorted({0, len(text), *(place for span in spans for place in (span.start, span.end))})
    moved, pieces = {0: 0}, []
    for start, end in pairwise(borders):
        pieces.append(change(text[start:end]))
        moved[end] = moved[start] + len(pieces[-1])
    if "".join(pieces) != whole:
        return None
    return tuple(Span(span.label, moved[span.start], moved[span.end]) for span in spans)


def _owner(spans: Sequence[Span], edit: Edit) -> int:
    """Return the number of the span that shares most characters with an edit; -1 if none does."""
    shared = [min(span.end, edit.end) - max(span.start, edit.start) for span in spans]
    most = max(shared, default=0)
    return shared.index(most) if most > 0 else -1


def _moved(span: Span, number: int, edits: Sequence[Edit], owners: Sequence[int]) -> Span:
    """Return one span after the edits; empty if other spans took all of it."""
    start, end = span.start, span.end
    for edit, owner in zip(edits, owners, strict=True):
        if edit.end <= span.start or edit.start >= span.end:
            continue
        if owner == number:
            start, end = min(start, edit.start), max(end, edit.end)
        elif edit.start <= span.start:
            start = max(start, edit.end)
        else:
            end = min(end, edit.start)
    if start >= end:
        return replace(span, start=0, end=0)
    shift = [sum(len(e.value) - (e.end - e.start) for e in edits if e.end <= border) for border in (start, end)]
    return Span(span.label, start + shift[0], end + shift[1])
