"""Recognise bank accounts by their international number (IBAN, ISO 13616)."""

import re
from collections.abc import Iterator

import regex
from presidio_analyzer.pattern_recognizer import REGEX_TIMEOUT_SECONDS
from stdnum import isin, numdb

from privacy.detect.findings import Finding
from privacy.detect.recognisers.base import DigitRecogniser
from privacy.detect.rules import FLAGS

SCORE = 0.4

# An IBAN as banks print it: capitals, in groups of four or in one.
USUAL = regex.compile(r"[A-Z]{2}\d{2}(?:[ -]?[A-Z\d]{4}){2,7}(?:[ -]?[A-Z\d]{1,4})?")
# What may stand between two characters of an IBAN in any other print.
BREAK = r"(?:[ ]{1,3}|[-./]|[ ]?\n[ ]?)?"
# A part of a country's account numbers in the registry of IBANs: "8!n" is eight digits.
PART = re.compile(r"(\d+)!?([nac])")
CHARACTERS = {"n": r"\d", "a": "[a-z]", "c": r"[a-z\d]"}
# The number of a security (ISO 6166), which is public, and shorter than any IBAN.
ISIN = regex.compile(r"[A-Z]{2}[A-Z\d]{9}\d")


class Iban(DigitRecogniser):
    """Recognises an IBAN by its form, so a mistyped one, or one of a country unknown to Presidio, is found too.

    In small letters, and split by anything but single spaces, it must have the length and the kinds of characters of its
    country, and its check digits (ISO 7064, modulo 97) must be right.
    """

    label = "IBAN_CODE"
    rules = (
        (
            "iban",
            r"(?<!\w)[A-Z]{2}\d{2}(?=(?:[ ]?[A-Z]{0,4}[ ]?\d){8})(?:[ -]?[A-Z\d]{4}){2,7}(?:[ -]?[A-Z\d]{1,4})?(?!\w)",
            SCORE,
        ),
    )

    def __init__(self, supported_language: str) -> None:
        super().__init__(supported_language)
        self._forms = {code: regex.compile(form, FLAGS) for code, form in _forms()}
        # The code of a country and two check digits. One expression for all countries takes a hundred times as long.
        self._starts = re.compile(rf"(?<!\w)({'|'.join(self._forms)}){BREAK}\d{BREAK}\d", re.IGNORECASE)

    def find(self, text: str) -> Iterator[Finding]:
        """Yield the IBANs in the usual print, and then those in any other one."""
        yield from super().find(text)
        for start in self._starts.finditer(text):
            match = self._forms[start[1].upper()].match(text, start.start(), timeout=REGEX_TIMEOUT_SECONDS)
            if match and self._is_valid(match[0]):
                yield Finding(self.label, match.start(), match.end(), SCORE)

    def invalidate_result(self, pattern_text: str) -> bool:
        """Return True for a security's number, and for what has another form than the usual one and wrong check digits."""
        if ISIN.fullmatch(pattern_text) and isin.is_valid(pattern_text):
            return True
        if USUAL.fullmatch(pattern_text):
            return False
        number = "".join(filter(str.isalnum, pattern_text)).upper()
        return int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97 != 1


def _forms() -> Iterator[tuple[str, str]]:
    """Yield each country in the registry (python-stdnum) with an expression for its IBANs in any print."""
    for _, code, _, form, _ in numdb.get("iban").prefixes:
        account = "".join(f"(?:{BREAK}{CHARACTERS[kind]}){{{size}}}" for size, kind in PART.findall(form["bban"]))
        yield code, rf"(?i)(?<!\w){code}(?:{BREAK}\d){{2}}{account}(?!\w)"
