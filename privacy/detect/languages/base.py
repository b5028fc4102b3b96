"""Declare everything that the anonymiser must know about a language before it reads a text in that language."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from privacy.detect.rules import Rules
from shared.models.wheels import Wheel

if TYPE_CHECKING:
    from privacy.detect.words import WordLists

# The kinds of values that are planted; a language needs sentence frames for each of them.
PLANTED_KINDS = frozenset(
    ["PERSON", "PHONE_NUMBER", "EMAIL_ADDRESS", "STREET_ADDRESS", "RECORD_NUMBER", "DATE_OF_BIRTH", "CREDIT_CARD",
     "IBAN_CODE", "USERNAME"]
)  # fmt: skip
# Parts that a language may leave empty.
MAY_BE_EMPTY = frozenset({"models", "installed", "months", "jobs"})


@dataclass(frozen=True)
class AddressWords:
    """Words around an address, separated by spaces.

    Parameters
    ----------
    never
        Words that never belong to an address, even with a capital.
    ends
        Expressions for the words that end an address.
    """

    never: str
    ends: str


@dataclass(frozen=True)
class JobWords:
    """Words of job titles, in small letters.

    Parameters
    ----------
    heads
        Nouns for people: "manager".
    modifiers
        Words that stand before them: "social".
    verbs
        Words before a noun for a person that belong to no title: "ask".
    """

    heads: frozenset[str]
    modifiers: frozenset[str]
    verbs: frozenset[str]


@dataclass(frozen=True)
class PlantedForms:
    """How personal data is planted in texts of a language, to measure what detection misses.

    Parameters
    ----------
    locale
        Faker's locale of IBANs, card numbers and dates of birth.
    frames
        Sentences by kind of value, with ``{}`` in place of the value.
    streets
        Words for a street.
    address
        Form of an address, from ``{name}`` (of the street), ``{street}``, ``{number}``, ``{postcode}`` and ``{town}``.
    phones
        Telephone numbers, with ``%`` for a digit from 1 and ``#`` for one from 0.
    dates
        ``strftime`` forms of a date of birth.
    """

    locale: str
    frames: Mapping[str, Sequence[str]]
    streets: Sequence[str]
    address: str
    phones: Sequence[str]
    dates: Sequence[str]


@dataclass(frozen=True)
class SurrogateForms:
    """Where surrogates come from: Faker's locales, and adjectives of nationality such as "Dutch"."""

    locales: Sequence[str]
    nations: Sequence[str]


@dataclass(frozen=True)
class DateForms:
    """How a language writes dates, as ``strptime`` forms in the order in which they are tried.

    Parameters
    ----------
    numeric
        Forms of digits only.
    textual
        Forms with the name of a month.
    weekdays
        The names of the days from Monday on, in small letters.
    ordinals
        Endings that may follow the number of a day.
    months
        The names of the months from January on, and then their abbreviations, all separated by spaces; empty for English.
    """

    numeric: Sequence[str]
    textual: Sequence[str]
    weekdays: Sequence[str]
    ordinals: Sequence[str]
    months: str = ""


@dataclass(frozen=True)
class Language:
    """A language of anonymisation; every part must be there, or ``registry.language`` refuses the language.

    Parameters
    ----------
    code
        ISO 639-1 code.
    models
        spaCy models with a pinned wheel, by their name in ``anonymise.spacy_model``; the first is the default.
    installed
        Names of spaCy models without a pinned wheel, the best first; the first that the site has installed is used. Without
        a model, only rules and word lists find names.
    national
        Returns the classes of recognisers, Presidio's or ours, for official numbers of the language's countries.
    rules, digit_rules
        Own rules by type of finding; ``digit_rules`` are tried only on a text with a digit.
    titles
        Expression for the titles of persons.
    calendar
        Expression for a time that names a day or an age; times that do not match, such as "today", are kept.
    units
        Expression for units of quantities; a number before a unit is harmless.
    login
        Expression that matches a user name and the words that announce it; the group ``word`` is the name.
    addresses
        Words that never belong to an address, and words that end one.
    function_words
        Returns the function words ("the", "with"), in small letters.
    harmless_words
        Words that are never a name, in small letters.
    always_capital
        Matches words, in small letters, that always begin with a capital.
    words
        Returns the word lists, which may take seconds.
    surrogates, dates, planted
        Invented values, forms of dates, and frames for planted values.
    jobs
        Returns the words of job titles; None leaves job titles beside names in the text.
    """

    code: str
    models: Mapping[str, Wheel]
    installed: Sequence[str]
    national: Callable[[], tuple[type[Any], ...]]
    rules: Mapping[str, Rules]
    digit_rules: Mapping[str, Rules]
    titles: str
    calendar: str
    units: str
    login: str
    addresses: AddressWords
    function_words: Callable[[], frozenset[str]]
    harmless_words: frozenset[str]
    always_capital: re.Pattern[str]
    words: "Callable[[], WordLists]"
    surrogates: SurrogateForms
    dates: DateForms
    planted: PlantedForms
    jobs: Callable[[], JobWords] | None = None


def missing_parts(language: Language) -> list[str]:
    """Return the names of all parts that are empty, such as ``planted.frames``."""
    missing = _empty(language, "")
    frames = language.planted.frames if language.planted else {}
    return missing + [f"planted.frames.{kind}" for kind in sorted(PLANTED_KINDS) if frames and not frames.get(kind)]


def _empty(part: Any, prefix: str) -> list[str]:
    """Return the names of the empty fields of a part, and of the parts in it."""
    found = []
    for field in fields(part):
        value = getattr(part, field.name)
        if is_dataclass(value):
            found += _empty(value, f"{prefix}{field.name}.")
        elif not value and field.name not in MAY_BE_EMPTY:
            found.append(f"{prefix}{field.name}")
    return found
