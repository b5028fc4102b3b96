"""Search all texts of a record for the values of its other columns, and for values that were found once."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from privacy.detect.findings import Finding

# Each word of another column's value is searched for too; shorter words, such as titles, would replace too much.
SHORTEST_WORD = 3
# A found value is searched for again if it has this many letters and digits, or SHORTEST_NUMBER of them with a digit.
SHORTEST_VALUE = 5
SHORTEST_NUMBER = 4
# Largest number of other characters between two letters or digits of a value: "555 0123", "(555) 01-23".
WIDEST_GAP = 3
SCORE = 0.05
# Types that are not searched for again: an age of 40 does not make every 40 an age. Names have a pass of their own.
ONCE = frozenset({"AGE", "DATE_TIME", "NRP", "PERSON"})
WORD = re.compile(rf"[^\W\d_]{{{SHORTEST_WORD},}}")


@dataclass(frozen=True, repr=False)
class KnownValue:
    """A value to look for.

    Parameters
    ----------
    key
        The value's letters and digits, in small letters.
    any_case
        Whether an occurrence that begins with a small letter counts too.
    label
        The type of the findings.
    """

    key: str
    any_case: bool
    label: str

    @classmethod
    def of(cls, value: str, any_case: bool) -> "KnownValue":
        """Return a value in the form to search for; a value with a digit counts in upper and lower case."""
        has_digit = any(map(str.isdigit, value))
        label = "EMAIL_ADDRESS" if "@" in value else "ID_NUMBER" if has_digit else "PERSON"
        return cls(_squeezed(value)[0], any_case or has_digit, label)


def parts_of(known: Iterable[str], function_words: Collection[str]) -> list[KnownValue]:
    """Return the values to search for: each value of another column as a whole, and each of its words.

    A function word, such as "Will", counts only with a capital.

    Parameters
    ----------
    known
        Values of the record's other columns.
    function_words
        Function words of the language, in small letters.
    """
    found: dict[str, KnownValue] = {}
    for value in known:
        if sum(map(str.isalnum, value)) >= SHORTEST_WORD:
            for part in (value, *WORD.findall(value)):
                found[part] = KnownValue.of(part, any_case=part.casefold() not in function_words)
    return list(found.values())


def values_of(texts: Sequence[str], found: Sequence[Sequence[Finding]]) -> list[KnownValue]:
    """Return the values that were found in the texts of a record and may occur again.

    A value without a digit counts only with a capital: "Reading" is a town, "reading" is not.

    Parameters
    ----------
    texts
        All texts of the record.
    found
        The findings in each text.
    """
    values = {
        text[finding.start : finding.end]
        for text, findings in zip(texts, found, strict=True)
        for finding in findings
        if finding.label not in ONCE
    }
    return [KnownValue.of(value, any_case=False) for value in sorted(values) if _is_distinctive(value)]


def find_again(texts: Sequence[str], values: Sequence[KnownValue]) -> list[tuple[Finding, ...]]:
    """Find the values in each text as whole words, whatever their case and punctuation.

    In a text without any capital, every value also counts with a small first letter.
    """
    if not values:
        return [() for _ in texts]
    return [tuple(_in_text(text, values)) for text in texts]


def _in_text(text: str, values: Sequence[KnownValue]) -> Iterable[Finding]:
    """Yield each occurrence of the values in one text, compared by letters and digits only."""
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
    places = [place for place, c in enumerate(text) if c.isalnum()]
    # The small form of "İ" has two characters, i and a dot above it.
    return "".join(text[place].lower()[0] for place in places), places


def _is_whole(text: str, start: int, end: int) -> bool:
    return not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())


def _is_distinctive(value: str) -> bool:
    """Return whether a value is long enough that another occurrence is hardly by chance."""
    size = sum(map(str.isalnum, value))
    return size >= SHORTEST_VALUE or (size >= SHORTEST_NUMBER and any(map(str.isdigit, value)))
