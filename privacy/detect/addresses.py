"""Find the rest of a postal address around the parts of it that rules have found."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import regex

from privacy.detect.findings import PLACED, STREETS, Finding, merge
from privacy.detect.languages.base import AddressWords
from privacy.detect.rules import FLAGS, any_titled

GAP = re.compile(r"[\s.,;:>()/#-]{0,8}(?:(?:[^\W\d_]{1,3}\.?|\d{1,6})[\s.,;:>()/#-]{1,8}){0,2}")
NUMBER_BEFORE = re.compile(r"(?<![\w.,$£€])(\d{1,6}(?: \d){0,4})[ ,]{1,2}\Z")
NUMBER_AFTER = re.compile(
    r"[ ,]{1,2}((?:\d{3} \d{2}|\d(?: \d){1,5}|\d{1,6}[A-Za-z]?))(?![\w%°]|[.,:/-]\d| ?(?:mg|ml|mcg|kg|km|cm|mm|%))"
)
PROVINCE_AFTER = re.compile(r" ?\(([A-Za-z]{2})\)")
POSTCODE_AFTER = re.compile(r"[ ,]{1,2}((?!(?:19|20)\d\d\b)(?:\d{3} \d{2}|\d{4,6}))(?![\w%°]|[.,:/-]\d)")
# Words of an address that are taken on either side of a part that a rule has found.
REACH = 6


@dataclass(frozen=True)
class AddressForms:
    """What a language puts between the parts of an address.

    Parameters
    ----------
    row
        Matches numbers and capitalised words in a row, each in a group ``word``, with the white space, commas and
        quotation marks of e-mail between them.
    wide_gap
        Matches up to two words of any length, as they stand between two parts in a text without the usual capitals.
    """

    row: regex.Pattern[str]
    wide_gap: re.Pattern[str]

    @classmethod
    def of(cls, words: AddressWords) -> Self:
        """Return the forms of a language with these words around its addresses."""
        word = rf"""
            (?!(?:{any_titled(words.never)})\b)
            (?:\p{{Lu}}[\p{{L}}'-]*+(?:(?<=\b\p{{L}}{{1,3}})\.)?|\d[\d-]{{0,9}}\p{{L}}?|d[aei]l?|la|le|von|an|am|der|den)(?!\w)
        """
        end = "|".join(words.ends.split())
        return cls(
            regex.compile(rf"(?<!\w)(?P<word>{word})(?:[\s,>]{{1,8}}(?P<word>{word}))*", FLAGS),
            re.compile(rf"[\s.,;:>()/#-]{{0,8}}(?:(?!(?:{end})\b)\w{{1,14}}\.?[\s.,;:>()/#-]{{1,8}}){{0,2}}", re.IGNORECASE),
        )


def spread(text: str, findings: Iterable[Finding], forms: AddressForms) -> tuple[Finding, ...]:
    """Find the rest of each postal address: numbers and capitalised words in a row with a part that a rule has found.

    At most ``REACH`` such words on either side of a part are taken; a lower-case word or a full stop ends the row.
    """
    parts = [finding for finding in findings if finding.label in ("STREET_ADDRESS", "POSTCODE")]
    places = {place for part in parts for place in range(part.start, part.end)}
    rest: list[Finding] = []
    for row in forms.row.finditer(text) if places else ():
        words = row.spans("word")
        for i, (start, end) in enumerate(words):
            if not places.isdisjoint(range(start, end)):
                first, last = words[max(0, i - REACH)], words[min(i + REACH, len(words) - 1)]
                rest.append(Finding("STREET_ADDRESS", first[0], last[1], 0.5))
    return tuple(rest)


def bridge(
    text: str, findings: Sequence[Finding], forms: AddressForms, numbers: bool, damaged: bool = False
) -> tuple[Finding, ...]:
    """Join the parts of an address over the little that stands between them, and add the numbers next to them.

    Between two parts may be white space, punctuation, one short word such as a state's letters or "and", and a number of
    at most 6 digits; one of the two parts must be a street, a number or a postcode.

    Parameters
    ----------
    text
        The text.
    findings
        Disjoint findings, in order.
    forms
        The forms of addresses in the text's language.
    numbers
        Whether a number right next to any place or name belongs to it as well.
    damaged
        Whether the text lacks the usual capitals, so that streets are hard to tell: two words of any length may then
        stand between two parts.
    """
    joined: list[Finding] = []
    for finding in findings:
        if joined and _bridged(text, joined[-1], finding, forms.wide_gap if damaged else GAP):
            joined[-1] = Finding("STREET_ADDRESS", joined[-1].start, finding.end, joined[-1].score)
        else:
            joined.append(finding)
    return merge(text, [f for finding in joined for f in _beside(text, finding, numbers)])


def _bridged(text: str, left: Finding, right: Finding, between: re.Pattern[str]) -> bool:
    """Return whether two findings are parts of one address."""
    labels = {left.label, right.label}
    gap = text[left.end : right.start]
    if right.label == "PERSON" and "." in gap:  # a new sentence
        return False
    return labels <= PLACED and not labels.isdisjoint(STREETS) and between.fullmatch(gap) is not None


def _beside(text: str, finding: Finding, numbers: bool) -> tuple[Finding, ...]:
    """Return a finding with the numbers right before and after it."""
    found = [finding]
    if finding.label in STREETS or (numbers and finding.label in PLACED):
        before = NUMBER_BEFORE.search(text, max(0, finding.start - 12), finding.start)
        after = NUMBER_AFTER.match(text, finding.end) or PROVINCE_AFTER.match(text, finding.end)
        found += [Finding(finding.label, m.start(1), m.end(1), finding.score) for m in (before, after) if m]
    elif finding.label == "LOCATION" and (postcode := POSTCODE_AFTER.match(text, finding.end)):
        found.append(Finding("POSTCODE", postcode.start(1), postcode.end(1), finding.score))
    return tuple(found)
