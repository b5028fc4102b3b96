"""Represent a found stretch of personal data, and make overlapping ones disjoint without losing a character."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.records.types import Span

PERSON = "PERSON"
# A word of a name, with hyphens and apostrophes inside, without a final 's.
NAME_WORD = re.compile(r"[^\W\d_]\w*(?:[-'](?!s\b)\w+)*")
# Types under which a part of an address may be found, and the types that only addresses have.
PLACED = frozenset({"STREET_ADDRESS", "POSTCODE", "LOCATION", "PERSON", "ORGANIZATION", "ID_NUMBER"})
STREETS = frozenset({"STREET_ADDRESS", "POSTCODE"})
# The score of a listed name or place, and the least score of a finding that a rule made. A lower score is a guess.
LISTED = 0.3
REPEATED = 0.26  # a little more than the language model's, so that a name stays a name
RULE = 0.4


@dataclass(frozen=True, slots=True)
class Finding:
    """Personal data of a type ``label`` at characters ``start`` to ``end`` (end excluded), with a score from 0 to 1."""

    label: str
    start: int
    end: int
    score: float


def merge(text: str, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Make findings disjoint and ordered; the result covers all that they covered, and each word that they cut in full.

    Findings that overlap or touch become one, and so do findings of one type with only spaces between them. The union has
    the type of its longest part; the better score breaks a tie, then the alphabet.

    Parameters
    ----------
    text
        The text.
    findings
        Findings in the text, in any order.
    """
    grown = sorted((_whole_words(text, finding) for finding in findings), key=lambda f: (f.start, f.end, f.label, f.score))
    groups: list[list[Finding]] = []
    end = -1
    for finding in grown:
        if finding.start == finding.end:
            continue
        if groups and (finding.start <= end or _same_value(text, groups[-1][-1], finding)):
            groups[-1].append(finding)
        else:
            groups.append([finding])
        end = max(end, finding.end)
    return tuple(_union(group) for group in groups)


def repeats(texts: Sequence[str], found: Sequence[Sequence[Finding]]) -> list[tuple[Finding, ...]]:
    """Find further occurrences of the words of persons' names, in all texts of the same record.

    Only words of at least 3 letters that begin with a capital count; a repeat must be a whole word in the same case.

    Parameters
    ----------
    texts
        All texts of one record.
    found
        The findings in each text.

    Returns
    -------
    list of tuple of Finding
        The repeats in each text.
    """
    words = {
        word
        for text, findings in zip(texts, found, strict=True)
        for finding in findings
        if finding.label == PERSON
        for word in NAME_WORD.findall(text[finding.start : finding.end])
        if len(word) > 2 and word[0].isupper()
    }
    if not words:
        return [() for _ in texts]
    return [
        tuple(Finding(PERSON, m.start(), m.end(), REPEATED) for m in NAME_WORD.finditer(text) if m[0] in words)
        for text in texts
    ]


def is_covered(text: str, span: Span, findings: Iterable[Finding]) -> bool:
    """Return whether every letter and digit of a true span lies in findings, of any type."""
    places = {place for place in range(span.start, span.end) if text[place].isalnum()}
    for finding in findings:
        places.difference_update(range(finding.start, finding.end))
    return not places


def _whole_words(text: str, finding: Finding) -> Finding:
    """Trim white space off the ends of a finding, then extend it to the ends of the words that it cuts."""
    start, end = finding.start, finding.end
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    while start < end and start > 0 and text[start].isalnum() and text[start - 1].isalnum():
        start -= 1
    while start < end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return Finding(finding.label, start, end, finding.score)


def _same_value(text: str, left: Finding, right: Finding) -> bool:
    """Return whether two findings are parts of one value: the same type, with only spaces between."""
    return left.label == right.label and left.end < right.start and not text[left.end : right.start].strip(" ")


def _union(group: Sequence[Finding]) -> Finding:
    """Return one finding over all of a group."""
    best = min(group, key=lambda f: (f.start - f.end, -f.score, f.label))
    # A union that contains a street or a postcode is an address.
    is_address = best.label in PLACED and any(f.label in STREETS for f in group) and len(group) > 1
    return Finding(
        "STREET_ADDRESS" if is_address and best.label != "POSTCODE" else best.label,
        group[0].start,
        max(f.end for f in group),
        max(f.score for f in group),
    )
