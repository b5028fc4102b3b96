"""Find the values of a record's other columns, and the values that were found once, again in all its texts."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

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
class KnownValue:
    """A value to look for.

    Parameters
    ----------
    key
        Its letters and digits, in small letters.
    any_case
        Whether it also counts where it begins with a small letter.
    label
        The type of a finding of it.
    """

    key: str
    any_case: bool
    label: str

    @classmethod
    def of(cls, value: str, any_case: bool) -> "KnownValue":
        """Return a value as a text may repeat it; one with a digit counts in any case."""
        has_digit = any(map(str.isdigit, value))
        label = "EMAIL_ADDRESS" if "@" in value else "ID_NUMBER" if has_digit else "PERSON"
        return cls(_squeezed(value)[0], any_case or has_digit, label)


def parts_of(known: Iterable[str], function_words: Collection[str]) -> list[KnownValue]:
    """Return what to look for of the values of other columns: each value whole, and each of its words.

    A function word, such as "Will", counts only with a capital.
    """
    found: dict[str, KnownValue] = {}
    for value in known:
        if sum(map(str.isalnum, value)) >= SHORTEST_WORD:
            for part in (value, *WORD.findall(value)):
                found[part] = KnownValue.of(part, any_case=part.casefold() not in function_words)
    return list(found.values())


def values_of(texts: Sequence[str], found: Sequence[Sequence[Finding]]) -> list[KnownValue]:
    """Return the values that were found in the texts of a record and may stand there again.

    A value without a digit counts only with a capital: "Reading" is a town, "reading" is not.
    """
    values = {
        text[finding.start : finding.end]
        for text, findings in zip(texts, found, strict=True)
        for finding in findings
        if finding.label not in ONCE
    }
    return [KnownValue.of(value, any_case=False) for value in sorted(values) if _is_telling(value)]


def find_again(texts: Sequence[str], values: Sequence[KnownValue]) -> list[tuple[Finding, ...]]:
    """Find the values in each text as whole words, whatever their case and punctuation.

    In a text without any capital every value counts with a small first letter too.
    """
    if not values:
        return [() for _ in texts]
    return [tuple(_in_text(text, values)) for text in texts]


def _in_text(text: str, values: Sequence[KnownValue]) -> Iterable[Finding]:
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
    """Return the letters and digits of a text in small letters, and the place of each."""
    kept = [(small, place) for place, c in enumerate(text) if c.isalnum() and len(small := c.lower()) == 1]
    return "".join(small for small, _ in kept), [place for _, place in kept]


def _is_whole(text: str, start: int, end: int) -> bool:
    return not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())


def _is_telling(value: str) -> bool:
    size = sum(map(str.isalnum, value))
    return size >= SHORTEST_VALUE or (size >= SHORTEST_NUMBER and any(map(str.isdigit, value)))
