"""Recognise identifiers that an authority gives out, by their form and their check digits."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from presidio_analyzer import Pattern, PatternRecognizer

from privacy.detect.recognisers.base import DigitRecogniser
from privacy.detect.rules import Rules

# Marks between the groups of a printed number.
MARKS = str.maketrans("", "", " .-/")


def official(label: str, check: Callable[[str], bool], *forms: str) -> type[DigitRecogniser]:
    """Return the class of a recogniser that finds an identifier and checks its check digits.

    Parameters
    ----------
    label
        ``NATIONAL_ID`` of a person, or ``COMPANY_ID``.
    check
        Returns whether a number of the form is valid, such as ``is_valid`` of a module of python-stdnum.
    forms
        Expressions for the ways in which the number is printed.
    """

    class Official(DigitRecogniser):
        """Recognises one kind of official number; a look-alike with wrong check digits is not found."""

        def validate_result(self, pattern_text: str) -> bool:
            """Return whether the check digits are right."""
            return bool(check(pattern_text))

    Official.label = label
    Official.rules = _rules(forms)
    return Official


def printed(recogniser: type[PatternRecognizer], *forms: str) -> type[PatternRecognizer]:
    """Return a subclass of one of Presidio's recognisers that also finds the number in printed groups.

    Parameters
    ----------
    recogniser
        A recogniser that checks the number without marks.
    forms
        Expressions for the ways in which the number is printed in groups.
    """

    class Printed(recogniser):  # type: ignore[misc, valid-type]  # a class that is given
        """Recognises the number with and without marks between its groups."""

        def __init__(self, supported_language: str) -> None:
            super().__init__(supported_language=supported_language)
            self.patterns: Sequence[Pattern] = [*self.patterns, *(Pattern(*rule) for rule in _rules(forms))]

        def validate_result(self, pattern_text: str) -> Any:
            """Check the number without its marks."""
            return super().validate_result(pattern_text.translate(MARKS))

    return Printed


def _rules(forms: Iterable[str]) -> Rules:
    """Return the rules for forms of a number that is no part of a longer one."""
    return tuple((f"form {at}", rf"(?<![\w.,/-])(?:{form})(?![\w/-]|[.,]\d)", 0.6) for at, form in enumerate(forms))
