"""Recognise bank accounts by their international number (IBAN, ISO 13616)."""

from privacy.detect.recognisers.base import DigitRecogniser


class Iban(DigitRecogniser):
    """Recognises an IBAN by its form only, so a mistyped one, or one of a country unknown to Presidio, is found too."""

    label = "IBAN_CODE"
    rules = (
        (
            "iban",
            r"(?<!\w)[A-Z]{2}\d{2}(?=(?:[ ]?[A-Z]{0,4}[ ]?\d){8})(?:[ -]?[A-Z\d]{4}){2,7}(?:[ -]?[A-Z\d]{1,4})?(?!\w)",
            0.4,
        ),
    )
