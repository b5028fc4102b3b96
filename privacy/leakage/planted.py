"""Plant personal data in copies of a site's records, to measure what the anonymiser misses.

Names and towns are invented from syllables and occur in no word list; numbers are random, with valid checksums.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from faker import Faker

from privacy.detect.casing import Casing, casing
from privacy.detect.languages.base import PLANTED_KINDS, Language
from shared.records.types import RawRecord, Span

# Kinds with a checksum or a fixed form, of which detection should miss none.
CHECKSUMMED = frozenset({"CREDIT_CARD", "IBAN_CODE", "EMAIL_ADDRESS"})
ONSETS_LINE = "b br c ch d dr f g gr h j k kr l m n p pr q r s sh st t th tr v w y z zh sk bl fl"
ONSETS = ONSETS_LINE.split()
VOWELS = ["a", "e", "i", "o", "u", "ae", "ia", "eo", "ou", "ai", "ee"]
ENDS_LINE = "l n r s th x nd rt ck m lle nna sko vic dez rou yan berg ti li mo nen wicz ström"
ENDS = ENDS_LINE.split()


class Planter:
    """Plants values of the kinds in turn; the same seed plants the same values.

    Parameters
    ----------
    language
        The language of the records.
    seed
        Seed of all random choices.
    """

    def __init__(self, language: Language, seed: int) -> None:
        self._lists = language.words()
        self._forms = language.planted
        self._random = random.Random(seed)  # noqa: S311  test data, no secret
        self._faker = Faker(self._forms.locale)
        self._faker.seed_instance(seed)

    def plant(self, records: Sequence[RawRecord], count: int) -> list[RawRecord]:
        """Return ``count`` copies of the records in turn, each with a planted sentence at the end of its first field."""
        kinds = sorted(PLANTED_KINDS)
        return [self._plant_one(records[i % len(records)], kinds[i % len(kinds)]) for i in range(count)]

    def _plant_one(self, record: RawRecord, kind: str) -> RawRecord:
        name, text = next(iter(record.fields.items()))
        head, tail = self._random.choice(self._forms.frames[kind]).split("{}")
        value = self._values()[kind]()
        if casing(text) is Casing.LOWER:  # the writer would not use capitals there either
            head, value, tail = head.lower(), value.lower(), tail.lower()
        start = len(text) + 1 + len(head)
        spans = {name: (Span(kind, start, start + len(value)),)}
        return replace(record, fields={**record.fields, name: f"{text} {head}{value}{tail}"}, spans=spans)

    def _values(self) -> Mapping[str, Callable[[], str]]:
        digits = self._faker.numerify
        return {
            "PERSON": lambda: self._name() if self._random.random() < 0.3 else f"{self._name()} {self._name()}",
            "PHONE_NUMBER": lambda: digits(self._random.choice(self._forms.phones)),
            "EMAIL_ADDRESS": lambda: f"{self._name()}.{self._name()}@{self._name()}.org".lower(),
            "STREET_ADDRESS": self._address,
            "RECORD_NUMBER": lambda: self._faker.bothify(self._random.choice(("??-######", "%######", "%###/####"))).upper(),
            "DATE_OF_BIRTH": lambda: self._faker.date_of_birth().strftime(self._random.choice(self._forms.dates)),
            "CREDIT_CARD": lambda: self._faker.credit_card_number("visa16"),
            "IBAN_CODE": lambda: self._faker.iban(),
            "USERNAME": lambda: f"{self._name().lower()}_{digits('##')}",
        }  # fmt: skip

    def _address(self) -> str:
        return self._forms.address.format(
            number=self._random.randrange(1, 300),
            name=self._name(),
            street=self._random.choice(self._forms.streets),
            town=self._name(),
            postcode=self._faker.numerify("%####"),
        )

    def _name(self) -> str:
        """Return an invented word, one or two syllables and an ending, that is in no word list."""
        while True:
            syllables = [
                self._random.choice(ONSETS) + self._random.choice(VOWELS) for _ in range(self._random.choice((1, 2)))
            ]
            word = "".join(syllables) + self._random.choice(ENDS)
            known = word in self._lists.locales or word in self._lists.places or self._lists.is_common(word)
            if len(word) > 3 and not known and not self._lists.is_proper(word):
                return word.capitalize()
