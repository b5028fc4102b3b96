"""Noise in a text: typos, case, synonyms, word order and deletion, from a table in this package; nothing is loaded.

Training takes it for views of a record, and evaluation to see how far a model holds.
"""

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from shared.records.types import Record
from shared.seeds import derive
from shared.text.synonyms import GROUPS

NOISED = ("text", "instruction")  # what is asked; a response is what is learnt, and stays as it is
SHORTEST = 4  # letters of a word that a typo may touch
Wordings = Sequence[str | None]  # of one text; None where one was dropped
Noise = Callable[[list[str], float, random.Random], list[str]]


def asked(record: Record) -> str:
    """What a record asks: its text, or its instruction."""
    return next(text for name, text in record.fields.items() if name in NOISED)


def reworded(record: Record, wording: str) -> Record:
    """The record with what it asks in another wording."""
    fields = record.fields.items()
    return replace(record, fields={name: wording if name in NOISED else text for name, text in fields})


def noised(record: Record, kinds: Sequence[str], rate: float, seed: tuple[int, ...]) -> Record:
    """The record with noise in what it asks: each word may be changed by each kind of noise, with chance ``rate``."""
    fields = record.fields.items()
    return replace(
        record, fields={name: noised_text(text, kinds, rate, seed) if name in NOISED else text for name, text in fields}
    )


def noised_text(text: str, kinds: Sequence[str], rate: float, seed: tuple[int, ...]) -> str:
    """The text with noise; words with a digit or an angle bracket, so the anonymiser's tags too, are left alone.

    What comes out follows from the text itself and the seed alone.
    """
    own = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    draw = random.Random(derive(seed[0], "view", *seed[1:], own))  # noqa: S311  noise in text, no secret
    words = text.split()
    for kind in kinds:
        words = NOISES[kind](words, rate, draw)
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


def without_some(words: list[str], rate: float, draw: random.Random) -> list[str]:
    """Words left out; at least the last stays."""
    return [word for word in words[:-1] if not (is_plain(word) and draw.random() < rate)] + words[-1:]


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
    others = sorted(other for other in group if other != bare.lower())
    if not others:
        return word
    chosen = draw.choice(others)
    return word.replace(bare, chosen.capitalize() if bare[:1].isupper() else chosen, 1)


NOISES: Mapping[str, Noise] = {
    "typos": with_typos,
    "case": with_other_case,
    "synonyms": with_synonyms,
    "order": in_other_order,
    "deletion": without_some,
}
