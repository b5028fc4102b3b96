"""Invent surrogates for found values: equal values get the same surrogate, but only within one document.

Faker is seeded with an HMAC-SHA256 (RFC 2104) under the site's key, over the document, the type, and the value's letters and
digits in small letters. Without the key nobody can tell which surrogate a value has, or that two documents hold the same
value. Identifiers with a checksum have no surrogate, because a model should not learn to write valid ones.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import regex
from faker import Faker

from privacy.detect.languages.base import Language
from privacy.detect.rules import FLAGS
from privacy.replace.dates import in_case_of, offset_of, shift

WORD = re.compile(r"[^\W\d_]+")
NUMBER = re.compile(r"\d+")
# Of a name, only words are replaced, and of an age only its number. So a finding that holds more, such as a name that ran
# together with a telephone number, must keep its tag.
NAME = re.compile(r"(?:[^\W\d_]|[\s.,'\u2019-])+")
TRIES = 50  # the largest number of draws to find a surrogate that occurs nowhere in the document
FIXED: Mapping[str, frozenset[str]] = {  # words that every surrogate of a type may hold, and that name nobody
    "URL": frozenset({"https", "example", "org"}),
    "EMAIL_ADDRESS": frozenset({"example", "com", "net", "org"}),
    "IP_ADDRESS": frozenset({"192", "0", "2"}),
}
# Most years by which an age moves, so that it stays in the same part of life.
AGE_YEARS = 3


class Surrogates:
    """Makes the surrogates of one document.

    Parameters
    ----------
    faker
        Makes the values; share one in a process, because building it takes a while.
    language
        The language of the document.
    key
        The site's secret, at least 16 bytes.
    document
        Bytes that identify the document, such as the digest of its text.
    originals
        Values that no surrogate may repeat.
    """

    def __init__(self, faker: Faker, language: Language, key: bytes, document: bytes, originals: Iterable[str]) -> None:
        self._faker = faker
        self._language = language
        self._key = key
        self._document = document
        self._taken = {word for value in originals for word in (*_words(value), *NUMBER.findall(value))}
        self._given: dict[tuple[str, str], str | None] = {}
        self._days = offset_of(self._digest("DATE_OFFSET", ""))

    def of(self, label: str, value: str) -> str | None:
        """Return the surrogate of a value; None if its type or form has none, or if none is free in the document."""
        if label == "DATE_TIME":
            return shift(value, self._days, self._language.dates)
        if (label == "PERSON" and not NAME.fullmatch(value)) or (label == "AGE" and not self._is_age(value)):
            return None
        if label == "PERSON":
            words = list(WORD.finditer(value))
            kinds = ["last" if i and i == len(words) - 1 else "first" for i in range(len(words))]
            names = [self._one(f"PERSON {kind}", word[0]) for kind, word in zip(kinds, words, strict=True)]
            given = iter([name for name in names if name is not None])
            return WORD.sub(lambda _: next(given), value) if names and None not in names else None
        return self._one(label, value) if label in self._makers() else None

    def _one(self, label: str, value: str) -> str | None:
        """Return one surrogate in the case of the original; a word of a name has the same surrogate in every name."""
        key = (label.split()[0], "".join(_words(value)))
        if key not in self._given:
            self._given[key] = self._new(label, value, key[1])
        made = self._given[key]
        return None if made is None else in_case_of(value, made)

    def _new(self, label: str, value: str, normal: str) -> str | None:
        """Draw surrogates until one is free; None if there is none in ``TRIES`` draws."""
        for attempt in range(TRIES):
            self._faker.seed_instance(self._digest(label, f"{normal}/{attempt}"))
            made = self._makers()[label](value)
            words = _telling(label, made)  # without any, such as in an age in words, the value itself could come back
            if words and made not in self._given.values() and self._taken.isdisjoint(words):
                return made
        return None

    def _digest(self, label: str, value: str) -> int:
        """Return a number that only the key, the document, the type and the value decide."""
        parts = (self._document.hex(), label, value)
        return int.from_bytes(hmac.digest(self._key, "\x1f".join(parts).encode(), hashlib.sha256)[:8])

    def _makers(self) -> Mapping[str, Callable[[str], str]]:
        """Return the maker of values of each type."""
        fake = self._faker
        return {
            "PERSON first": lambda _: str(fake.first_name()),
            "PERSON last": lambda _: str(fake.last_name()),
            "LOCATION": lambda _: str(fake.city()),
            "ORGANIZATION": lambda _: str(fake.company()),
            "STREET_ADDRESS": lambda _: ", ".join(fake.address().splitlines()),
            "POSTCODE": self._alike,
            "PHONE_NUMBER": self._alike,
            "RECORD_NUMBER": self._alike,
            "ID_NUMBER": self._alike,
            "EMAIL_ADDRESS": lambda _: str(fake.safe_email()),
            "URL": lambda _: f"https://{fake.domain_word()}.example.org",
            "USERNAME": lambda _: str(fake.user_name()),
            "IP_ADDRESS": lambda _: f"192.0.2.{fake.random_int(1, 254)}",  # RFC 5737: never anybody's
            "NRP": lambda _: str(fake.random_element(self._language.surrogates.nations)),
            "AGE": self._age,
        }

    def _alike(self, value: str) -> str:
        """Return random letters and digits in the form of the original."""
        fake = self._faker
        return "".join(
            str(fake.random_digit()) if c.isdigit() else fake.random_uppercase_letter() if c.isalpha() else c for c in value
        )

    def _is_age(self, value: str) -> bool:
        rules = {**self._language.rules, **self._language.digit_rules}.get("AGE", ())
        return re.fullmatch(r"\d{1,3}", value) is not None or any(
            regex.fullmatch(rule, value, FLAGS) for _, rule, _ in rules
        )

    def _age(self, value: str) -> str:
        move = self._faker.random_int(1, AGE_YEARS) * (1 if self._faker.boolean() else -1)
        return NUMBER.sub(lambda number: str(max(1, int(number[0]) + move)), value)


def new_faker(locales: Sequence[str]) -> Faker:
    """Return a Faker for some of its locales, which takes a while to build."""
    return Faker(list(locales))


def _words(value: str) -> list[str]:
    """Return the casefolded words and numbers of a value, by which two values are compared."""
    return re.findall(r"\w+", value.casefold())


def _telling(label: str, made: str) -> list[str]:
    """Return the words of a surrogate that must not occur in the document; of an age only its numbers."""
    if label == "AGE":
        return NUMBER.findall(made)
    return [word for word in _words(made) if word not in FIXED.get(label, ())]
