"""Find the rest of a postal address around the parts of it that rules have found."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import regex

from privacy.detect.findings import PLACED, STREETS, Finding, merge
from privacy.detect.languages.base import AddressWords
from privacy.detect.rules import FLAGS, any_titled

# What may stand between two parts of one address: punctuation and at most two short words or numbers.
GAP = re.compile(r"[\s.,;:>()/#-]{0,8}(?:(?:[^\W\d_]{1,3}\.?|\d{1,6})[\s.,;:>()/#-]{1,8}){0,2}")
# Numbers next to a part that belong to the address: a house number, a province in brackets, a postcode. Years, amounts,
# doses and decimals do not.
NUMBER_BEFORE = re.compile(r"(?<![\w.,$£€])(\d{1,6}(?: \d){0,4})[ ,]{1,2}\Z")
NUMBER_AFTER = re.compile(
    r"[ ,]{1,2}((?:\d{3} \d{2}|\d(?: \d){1,5}|\d{1,6}[A-Za-z]?))(?![\w%°]|[.,:/-]\d| ?(?:mg|ml|mcg|kg|km|cm|mm|%))"
)
PROVINCE_AFTER = re.compile(r" ?\(([A-Za-z]{2})\)")
POSTCODE_AFTER = re.compile(r"[ ,]{1,2}((?!(?:19|20)\d\d\b)(?:\d{3} \d{2}|\d{4,6}))(?![\w%°]|[.,:/-]\d)")
# Most words that are added to an address on either side of a part that a rule has found.
REACH = 6


@dataclass(frozen=True)
class AddressForms:
    """Compiled expressions for the words of an address, and for the gaps between its parts, in one language.

    Parameters
    ----------
    row
        Matches consecutive numbers and capitalised words, each in a group ``word``; between them may be white space,
        commas, brackets and the ``>`` of quoted e-mail. "nan" and "null" stand for a part that an exported table lacks.
    wide_gap
        Matches a gap of up to two words of any length, for text without the usual capitals.
    """

    row: regex.Pattern[str]
    wide_gap: re.Pattern[str]

    @classmethod
    def of(cls, words: AddressWords) -> Self:
        """Compile the expressions of a language from the words around its addresses."""
        word = rf"""
            (?!(?:{any_titled(words.never)})\b)
            (?:\p{{Lu}}[\p{{L}}'-]*+(?:(?<=\b\p{{L}}{{1,3}})\.)?|\d[\d-]{{0,9}}\p{{L}}?|d[aei]l?|la|le|von|an|am|der|den|nan|null)(?!\w)
        """
        end = "|".join(words.ends.split())
        return cls(
            regex.compile(rf"(?<!\w)(?P<word>{word})(?:[\s,>()]{{1,8}}(?P<word>{word}))*", FLAGS),
            re.compile(rf"[\s.,;:>()/#-]{{0,8}}(?:(?!(?:{end})\b)\w{{1,14}}\.?[\s.,;:>()/#-]{{1,8}}){{0,2}}", re.IGNORECASE),
        )


def spread(text: str, findings: Iterable[Finding], forms: AddressForms) -> tuple[Finding, ...]:
    """Find the rest of each postal address: numbers and capitalised words next to a part that a rule has found.

    An address grows by at most ``REACH`` words on either side of the part, and ends at a lower-case word or a full stop.

    Parameters
    ----------
    text
        The text.
    findings
        Findings of the rules; only streets and postcodes are parts.
    forms
        The forms of addresses in the text's language.
    """
    places = {place for f in findings if f.label in STREETS for place in range(f.start, f.end)}
    rest: list[Finding] = []
    for row in forms.row.finditer(text) if places else ():
        words = row.spans("word")
        for i, (start, end) in enumerate(words):
            if not places.isdisjoint(range(start, end)):
                first, last = words[max(0, i - REACH)], words[min(i + REACH, len(words) - 1)]
                rest.append(Finding("STREET_ADDRESS", first[0], last[1], 0.5))
    return tuple(rest)


def bridge(text: str, findings: Sequence[Finding], forms: AddressForms, numbers: bool, damaged: bool) -> tuple[Finding, ...]:
    """Join the parts of an address across small gaps, and add the numbers next to them.

    A gap may hold white space, punctuation and two short words or numbers, such as "and", the letters of a state or up to
    6 digits. One of the two parts must be a street or a postcode.

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
    return merge(text, [f for finding in joined for f in _with_numbers(text, finding, numbers)])


def _bridged(text: str, left: Finding, right: Finding, between: re.Pattern[str]) -> bool:
    """Return whether two findings are parts of one address."""
    labels = {left.label, right.label}
    gap = text[left.end : right.start]
    if right.label == "PERSON" and "." in gap:  # a name after a full stop begins a new sentence
        return False
    return labels <= PLACED and not labels.isdisjoint(STREETS) and between.fullmatch(gap) is not None


def _with_numbers(text: str, finding: Finding, numbers: bool) -> tuple[Finding, ...]:
    """Return a finding with the numbers right before and after it."""
    found = [finding]
    if finding.label in STREETS or (numbers and finding.label in PLACED):
        before = NUMBER_BEFORE.search(text, max(0, finding.start - 12), finding.start)
        after = NUMBER_AFTER.match(text, finding.end) or PROVINCE_AFTER.match(text, finding.end)
        found += [Finding(finding.label, m.start(1), m.end(1), finding.score) for m in (before, after) if m]
    elif finding.label == "LOCATION" and (postcode := POSTCODE_AFTER.match(text, finding.end)):
        found.append(Finding("POSTCODE", postcode.start(1), postcode.end(1), finding.score))
    return tuple(found)
