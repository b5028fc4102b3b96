"""Recognise bank accounts by their international number (IBAN, ISO 13616)."""

import regex
from stdnum import isin

from privacy.detect.recognisers.base import DigitRecogniser

# An IBAN as banks print it: capitals, in groups of four or in one.
USUAL = regex.compile(r"[A-Z]{2}\d{2}(?:[ -]?[A-Z\d]{4}){2,7}(?:[ -]?[A-Z\d]{1,4})?")
GROUP = r"(?=[a-z]{0,3}\d)[a-z\d]{1,4}"
BREAK = r"(?:[ ]{1,3}|[-.]|[ ]?\n[ ]?)"


# The number of a security (ISO 6166), which is public, and shorter than any IBAN.
ISIN = regex.compile(r"[A-Z]{2}[A-Z\d]{9}\d")


class Iban(DigitRecogniser):
    """Recognises an IBAN by its form, so a mistyped one, or one of a country unknown to Presidio, is found too.

    In small letters, and split by anything but single spaces, its check digits (ISO 7064, modulo 97) must be right.
    """

    label = "IBAN_CODE"
    rules = (
        (
            "iban",
            r"(?<!\w)[A-Z]{2}\d{2}(?=(?:[ ]?[A-Z]{0,4}[ ]?\d){8})(?:[ -]?[A-Z\d]{4}){2,7}(?:[ -]?[A-Z\d]{1,4})?(?!\w)",
            0.4,
        ),
        ("iban, small letters", r"(?i)(?<!\w)[a-z]{2}\d{2}[a-z\d]{11,30}(?!\w)", 0.4),
        ("iban, split", rf"(?i)(?<!\w)[a-z]{{2}}\d{{2}}{BREAK}(?:[a-z]{{4}}|{GROUP})(?:{BREAK}{GROUP}){{2,8}}(?!\w)", 0.4),
    )

    def invalidate_result(self, pattern_text: str) -> bool:
        """Return True for a security's number, and for what has another form than the usual one and wrong check digits."""
        if ISIN.fullmatch(pattern_text) and isin.is_valid(pattern_text):
            return True
        if USUAL.fullmatch(pattern_text):
            return False
        number = "".join(filter(str.isalnum, pattern_text)).upper()
        return int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97 != 1
