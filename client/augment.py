"""Noised views of scrubbed records: typos, case, synonyms and word order, from a table in this package; nothing is loaded.

What a view looks like follows from the record's own text, the run's seed and the occasion, never from the record's place
among others. So adding a record changes no other record's views, and noise in text costs no privacy.
"""

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from client.synonyms import GROUPS
from shared.datastage import AugmentationSection
from shared.record import Record
from shared.seeds import derive
from shared.tasks.base import Example, Task

NOISED = ("text", "instruction")  # what is asked; a response is what is learnt, and stays as it is
SHORTEST = 4  # letters of a word that a typo may touch
Noise = Callable[[list[str], float, random.Random], list[str]]


@dataclass(frozen=True)
class Augmenter:
    """Views of a site's records, encoded; ``views`` fits ``client.units.Viewer``."""

    records: Sequence[Record] = field(repr=False)
    task: Task
    section: AugmentationSection
    seed: int

    def views(self, row: int, occasion: int) -> list[Example]:
        """The record itself and K - 1 noised views, drawn anew on each occasion."""
        record = self.records[row]
        others = [noised(record, self.section, (self.seed, occasion, view)) for view in range(1, self.section.views)]
        return self.task.encode([record, *others])


def noised(record: Record, section: AugmentationSection, seed: tuple[int, ...]) -> Record:
    """One view of a record: each word of what is asked may be changed by each kind of noise, with chance ``rate``."""
    fields = dict(record.fields)
    for name in NOISED:
        if name in fields:
            fields[name] = noised_text(fields[name], section, seed)
    return replace(record, fields=fields)


def noised_text(text: str, section: AugmentationSection, seed: tuple[int, ...]) -> str:
    """The text with noise; words with a digit or an angle bracket, so the anonymiser's tags too, are left alone."""
    own = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    draw = random.Random(derive(seed[0], "view", *seed[1:], own))  # noqa: S311  noise in text, no secret
    words = text.split()
    for kind in section.noises:
        words = NOISES[kind](words, section.rate, draw)
    return " ".join(words)


def with_typos(words: list[str], rate: float, draw: random.Random) -> list[str]:
    """Two letters swapped, one left out, or one doubled, in words of four letters or more."""
    return [_typo(word, draw) if is_plain(word) and draw.random() < rate else word for word in words]


def with_other_case(words: list[str], rate: float, draw: random.Random) -> list[str]:
    """Words in lower case, in capitals, or with a capital."""
    forms: tuple[Callable[[str], str], ...] = (str.lower, str.upper, str.capitalize)
    return [draw.choice(forms)(word) if is_plain(word) and draw.random() < rate else word for word in words]


def with_synonyms(words: list[str], rate: float, draw: random.Random) -> list[str]:
    """Words replaced by another of their group of synonyms; most words are in no group."""
    return [_synonym(word, draw) if draw.random() < rate else word for word in words]


def in_other_order(words: list[str], rate: float, draw: random.Random) -> list[str]:
    """Neighbours swapped."""
    words = list(words)
    for place in range(len(words) - 1):
        if draw.random() < rate and is_plain(words[place]) and is_plain(words[place + 1]):
            words[place], words[place + 1] = words[place + 1], words[place]
    return words


def is_plain(word: str) -> bool:
    """Whether noise may touch a word."""
    return not any(letter.isdigit() or letter in "<>" for letter in word)


def _typo(word: str, draw: random.Random) -> str:
    if len(word) < SHORTEST:
        return word
    place = draw.randrange(1, len(word) - 1)
    kind = draw.randrange(3)
    if kind == 0:
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    return word[:place] + (word[place] * 2 if kind == 1 else "") + word[place + 1 :]


def _synonym(word: str, draw: random.Random) -> str:
    bare = word.strip(".,;:!?\"'()")
    group = next((group for group in GROUPS if bare.lower() in group), ())
    others = [other for other in group if other != bare.lower()]
    if not others:
        return word
    chosen = draw.choice(others)
    return word.replace(bare, chosen.capitalize() if bare[:1].isupper() else chosen, 1)


NOISES: Mapping[str, Noise] = {
    "typos": with_typos,
    "case": with_other_case,
    "synonyms": with_synonyms,
    "order": in_other_order,
}
