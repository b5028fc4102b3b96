"""Values that a record is known to hold, found again in its texts: those of its other columns, and those found once."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from privacy.detect.casing import FUNCTION_WORDS
from privacy.detect.findings import Finding

# A value of another column is hidden in each of its words as well; shorter ones, such as a title, would hide too much.
SHORTEST_WORD = 3
# A found value counts again when it is this long, or has a digit and SHORTEST_NUMBER letters and digits.
SHORTEST_VALUE = 5
SHORTEST_NUMBER = 4
# Between two of its letters or digits a value may have so many other characters: "555 0123", "(555) 01-23".
WIDEST_GAP = 3
SCORE = 0.05
# These come again as themselves or not at all: an age of 40 is not every 40. Names have a pass of their own.
ONCE = frozenset({"AGE", "DATE_TIME", "NRP", "PERSON"})
WORD = re.compile(rf"[^\W\d_]{{{SHORTEST_WORD},}}")


@dataclass(frozen=True, repr=False)
class Denied:
    """A value to look for: its letters and digits in small letters, whether a small first letter will do, and its type."""

    key: str
    any_case: bool
    label: str

    @classmethod
    def of(cls, value: str, any_case: bool) -> "Denied":
        """A value as a text may repeat it; digits tell enough in any case."""
        has_digit = any(map(str.isdigit, value))
        label = "EMAIL_ADDRESS" if "@" in value else "ID_NUMBER" if has_digit else "PERSON"
        return cls(_squeezed(value)[0], any_case or has_digit, label)


def parts_of(known: Iterable[str]) -> list[Denied]:
    """What to look for of the values of other columns: each whole, and each of its words.

    A word that sentences are made of, such as "Will", counts with a capital alone.
    """
    found: dict[str, Denied] = {}
    for value in known:
        if sum(map(str.isalnum, value)) >= SHORTEST_WORD:
            found[value] = Denied.of(value, any_case=value.casefold() not in FUNCTION_WORDS)
            found |= {word: Denied.of(word, word.casefold() not in FUNCTION_WORDS) for word in WORD.findall(value)}
    return list(found.values())


def values_of(texts: Sequence[str], found: Sequence[Sequence[Finding]]) -> list[Denied]:
    """The values that were found in the texts of a record and may stand there again, unfound.

    One of letters alone counts with a capital: "Reading" is a town, "reading" none.
    """
    values = {
        text[finding.start : finding.end]
        for text, findings in zip(texts, found, strict=True)
        for finding in findings
        if finding.label not in ONCE
    }
    return [Denied.of(value, any_case=False) for value in sorted(values) if _is_telling(value)]


def again(texts: Sequence[str], values: Sequence[Denied]) -> list[tuple[Finding, ...]]:
    """Where the values stand in each text, whatever their case and punctuation, as whole words.

    In a text without any capital a small first letter will do for each.
    """
    if not values:
        return [() for _ in texts]
    return [tuple(_in_text(text, values)) for text in texts]


def _in_text(text: str, values: Sequence[Denied]) -> Iterable[Finding]:
    letters, places = _squeezed(text)
    has_capitals = text != text.lower()
    for value in values:
        size = len(value.key)
        at = letters.find(value.key)
        while at >= 0:
            start, end = places[at], places[at + size - 1] + 1
            gap = max((b - a for a, b in pairwise(places[at : at + size])), default=1)
            capital = value.any_case or not has_capitals or text[start].isupper()
            if capital and gap <= WIDEST_GAP + 1 and _is_whole(text, start, end):
                yield Finding(value.label, start, end, SCORE)
            at = letters.find(value.key, at + 1)


def _squeezed(text: str) -> tuple[str, list[int]]:
    """The letters and digits of a text in small letters, and where each stands."""
    kept = [(small, place) for place, c in enumerate(text) if c.isalnum() and len(small := c.lower()) == 1]
    return "".join(small for small, _ in kept), [place for _, place in kept]


def _is_whole(text: str, start: int, end: int) -> bool:
    return not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())


def _is_telling(value: str) -> bool:
    size = sum(map(str.isalnum, value))
    return size >= SHORTEST_VALUE or (size >= SHORTEST_NUMBER and any(map(str.isdigit, value)))
