"""A found stretch of personal data, and how overlapping ones become disjoint ones without losing a character."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from privacy.detect.rules import ADDRESS_ROW
from shared.records.types import Span

# A word of a name, with hyphens and apostrophes inside, without a final 's.
NAME_WORD = re.compile(r"[^\W\d_]\w*(?:[-'](?!s\b)\w+)*")
# What the parts of an address may be taken for, and the types that only an address has.
PLACED = frozenset({"STREET_ADDRESS", "POSTCODE", "LOCATION", "PERSON", "ORGANIZATION", "ID_NUMBER"})
STREETS = frozenset({"STREET_ADDRESS", "POSTCODE"})
GAP = re.compile(r"[\s.,;:>()/#-]{0,8}(?:(?:[^\W\d_]{1,3}\.?|\d{1,6})[\s.,;:>()/#-]{1,8}){0,2}")
ENDS_A_PLACE = "and|but|or|is|my|i|to|pls|please|for|with|at|lives?|living|me|u|he|she|they|we|it|from"
WIDE_GAP = re.compile(
    rf"[\s.,;:>()/#-]{{0,8}}(?:(?!(?:{ENDS_A_PLACE})\b)\w{{1,14}}\.?[\s.,;:>()/#-]{{1,8}}){{0,2}}", re.IGNORECASE
)
NUMBER_BEFORE = re.compile(r"(?<![\w.,$£€])(\d{1,6}(?: \d){0,4})[ ,]{1,2}\Z")
NUMBER_AFTER = re.compile(
    r"[ ,]{1,2}((?:\d{3} \d{2}|\d(?: \d){1,5}|\d{1,6}[A-Za-z]?))(?![\w%°]|[.,:/-]\d| ?(?:mg|ml|mcg|kg|km|cm|mm|%))"
)
PROVINCE_AFTER = re.compile(r" ?\(([A-Za-z]{2})\)")
POSTCODE_AFTER = re.compile(r"[ ,]{1,2}((?!(?:19|20)\d\d\b)(?:\d{3} \d{2}|\d{4,6}))(?![\w%°]|[.,:/-]\d)")
# Words of an address that are taken on either side of a part that a rule has found.
REACH = 6


@dataclass(frozen=True, slots=True)
class Finding:
    """Personal data of a type ``label`` at characters ``start`` to ``end`` (end excluded), with a score from 0 to 1."""

    label: str
    start: int
    end: int
    score: float


def merge(text: str, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Make findings disjoint and ordered; what any of them covered, and the rest of each word it cut, stays covered.

    Findings that overlap or touch become one, as do those of one type with only spaces between. The longest part names
    the union, then the best score, then the alphabet.
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


def repeats(texts: Sequence[str], found: Sequence[Sequence[Finding]], label: str = "PERSON") -> list[tuple[Finding, ...]]:
    """Find the words of names again where the language model missed them: in any text of the same record.

    A word counts when it begins with a capital and has at least 3 letters; it must stand alone and in the same case.
    """
    words = {
        word
        for text, findings in zip(texts, found, strict=True)
        for finding in findings
        if finding.label == label
        for word in NAME_WORD.findall(text[finding.start : finding.end])
        if len(word) > 2 and word[0].isupper()
    }
    if not words:
        return [() for _ in texts]
    return [
        tuple(Finding(label, m.start(), m.end(), 0.5) for m in NAME_WORD.finditer(text) if m[0] in words) for text in texts
    ]


def spread(text: str, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Find the rest of each postal address: numbers and capitalised words in a row with a part that a rule has found.

    At most ``REACH`` such words on either side of a part are taken; a lower-case word or a full stop ends the row.
    """
    parts = [finding for finding in findings if finding.label in ("STREET_ADDRESS", "POSTCODE")]
    places = {place for part in parts for place in range(part.start, part.end)}
    rest: list[Finding] = []
    for row in ADDRESS_ROW.finditer(text) if places else ():
        words = row.spans("word")
        for i, (start, end) in enumerate(words):
            if not places.isdisjoint(range(start, end)):
                first, last = words[max(0, i - REACH)], words[min(i + REACH, len(words) - 1)]
                rest.append(Finding("STREET_ADDRESS", first[0], last[1], 0.5))
    return tuple(rest)


def is_covered(text: str, span: Span, findings: Iterable[Finding]) -> bool:
    """Whether every letter and digit of a true span lies in a finding, of whatever type."""
    places = {place for place in range(span.start, span.end) if text[place].isalnum()}
    for finding in findings:
        places.difference_update(range(finding.start, finding.end))
    return not places


def _whole_words(text: str, finding: Finding) -> Finding:
    """Trim white space off the ends, then grow them to the ends of the words that they cut."""
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
    """Whether two findings are parts of one value: the same type, with only spaces between."""
    return left.label == right.label and left.end < right.start and not text[left.end : right.start].strip(" ")


def _union(group: Sequence[Finding]) -> Finding:
    """One finding over all of a group."""
    best = min(group, key=lambda f: (f.start - f.end, -f.score, f.label))
    # A place with a street or a postcode in it is an address.
    is_address = best.label in PLACED and any(f.label in STREETS for f in group) and len(group) > 1
    return Finding(
        "STREET_ADDRESS" if is_address and best.label != "POSTCODE" else best.label,
        group[0].start,
        max(f.end for f in group),
        max(f.score for f in group),
    )


def bridge(text: str, findings: Sequence[Finding], numbers: bool, damaged: bool = False) -> tuple[Finding, ...]:
    """Join the parts of an address over the little that stands between them, and take the numbers beside them.

    ``findings`` are disjoint and in order. Between two parts may be white space, punctuation, one short word such as
    a state's letters or "and", and a number of at most 6 digits; one of the two must be a street, a number or a
    postcode. With ``numbers``, a number right beside a place or a name belongs to it as well. In text ``damaged`` in its
    capitals two words of any length may stand between, for there a street is hard to tell.
    """
    joined: list[Finding] = []
    for finding in findings:
        if joined and _bridged(text, joined[-1], finding, WIDE_GAP if damaged else GAP):
            joined[-1] = Finding("STREET_ADDRESS", joined[-1].start, finding.end, joined[-1].score)
        else:
            joined.append(finding)
    return merge(text, [f for finding in joined for f in _beside(text, finding, numbers)])


def _bridged(text: str, left: Finding, right: Finding, between: re.Pattern[str]) -> bool:
    """Whether two findings are parts of one address."""
    labels = {left.label, right.label}
    gap = text[left.end : right.start]
    if right.label == "PERSON" and "." in gap:  # a new sentence
        return False
    return labels <= PLACED and not labels.isdisjoint(STREETS) and between.fullmatch(gap) is not None


def _beside(text: str, finding: Finding, numbers: bool) -> tuple[Finding, ...]:
    """A finding and the numbers right before and after it."""
    found = [finding]
    if finding.label in STREETS or (numbers and finding.label in PLACED):
        before = NUMBER_BEFORE.search(text, max(0, finding.start - 12), finding.start)
        after = NUMBER_AFTER.match(text, finding.end) or PROVINCE_AFTER.match(text, finding.end)
        found += [Finding(finding.label, m.start(1), m.end(1), finding.score) for m in (before, after) if m]
    elif finding.label == "LOCATION" and (postcode := POSTCODE_AFTER.match(text, finding.end)):
        found.append(Finding("POSTCODE", postcode.start(1), postcode.end(1), finding.score))
    return tuple(found)
