"""List the recognisers that serve every language, and build those of one language."""

from typing import Protocol

from presidio_analyzer import PatternRecognizer
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    CryptoRecognizer,
    DateRecognizer,
    IbanRecognizer,
    IpRecognizer,
    MacAddressRecognizer,
    UuidRecognizer,
)

from privacy.detect.languages.base import Language
from privacy.detect.recognisers.addresses import Address
from privacy.detect.recognisers.base import DigitRecogniser, RuleRecogniser
from privacy.detect.recognisers.companies import Company
from privacy.detect.recognisers.emails import Email
from privacy.detect.recognisers.handles import Handle
from privacy.detect.recognisers.ibans import Iban
from privacy.detect.recognisers.links import Link
from privacy.detect.recognisers.numbers import IdNumber
from privacy.detect.recognisers.phones import Phone
from privacy.detect.recognisers.postcodes import Postcode
from privacy.detect.recognisers.record_numbers import RecordNumber
from privacy.detect.recognisers.timestamps import Timestamp
from privacy.detect.recognisers.tokens import Token


class Recogniser(Protocol):
    """A recogniser class, of Presidio or ours."""

    def __call__(self, *, supported_language: str) -> PatternRecognizer:
        """Build the recogniser for texts of one language."""
        ...


RECOGNISERS: tuple[Recogniser, ...] = (
    CreditCardRecognizer, CryptoRecognizer, DateRecognizer, IbanRecognizer, IpRecognizer, MacAddressRecognizer,
    UuidRecognizer, Address, Company, Email, Handle, Iban, IdNumber, Link, Phone, Postcode, RecordNumber, Timestamp, Token,
)  # fmt: skip


def pattern_recognisers(language: Language) -> list[PatternRecognizer]:
    """Build every recogniser that reads the text of a language without a language model.

    All of ``RECOGNISERS`` serve each language, so a new language loses no identifier that has the same form everywhere.
    """
    return [
        *(recogniser(supported_language=language.code) for recogniser in RECOGNISERS),
        *(recogniser(supported_language=language.code) for recogniser in language.national()),
        *(RuleRecogniser(language.code, label, rules) for label, rules in language.rules.items()),
        *(DigitRecogniser(language.code, label, rules) for label, rules in language.digit_rules.items()),
    ]
