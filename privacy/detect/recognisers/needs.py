"""Say what a text must contain for a recogniser of Presidio to find anything, so that most texts can skip the recogniser.

Presidio's recognisers take longer than all of ours, because they measure and explain each step.
"""

import re
from collections.abc import Mapping

from presidio_analyzer import PatternRecognizer
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    CryptoRecognizer,
    DateRecognizer,
    IbanRecognizer,
    IpRecognizer,
    MacAddressRecognizer,
    MedicalLicenseRecognizer,
    NhsRecognizer,
    UsSsnRecognizer,
    UuidRecognizer,
)

from privacy.detect.recognisers.emails import Email

# Each pattern matches within every text that the recogniser's own expressions match; tests compare the two.
NEEDS: Mapping[type[PatternRecognizer], re.Pattern[str]] = {
    CreditCardRecognizer: re.compile(r"\d{4}"),
    CryptoRecognizer: re.compile(r"[^\W_]{26}"),
    DateRecognizer: re.compile(r"\d[/.-]|[/.-]\d"),
    Email: re.compile("@"),
    IbanRecognizer: re.compile(r"[A-Z]\d\d"),
    IpRecognizer: re.compile(r":[\dA-Fa-f]{0,4}:|\d\.\d"),
    MacAddressRecognizer: re.compile(r"[\dA-Fa-f]{2}[:.-][\dA-Fa-f]{2}"),
    MedicalLicenseRecognizer: re.compile(r"\d{7}"),
    NhsRecognizer: re.compile(r"\d{3}[- ]?\d{3}"),
    UsSsnRecognizer: re.compile(r"\d{3}[- .]?\d\d"),
    UuidRecognizer: re.compile(r"[\dA-Fa-f]{8}-"),
}


def may_match(rule: PatternRecognizer, text: str) -> bool:
    """Return whether a recogniser may find anything in a text."""
    needs = NEEDS.get(type(rule))
    return needs is None or needs.search(text) is not None
