"""Add noise to a text: typos, case, synonyms, word order and deletion, without loading any data.

Training uses noise for views of a record; evaluation uses it to measure how robust a model is.
"""

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from shared.records.types import Record
from shared.seeds import derive
from shared.text.synonyms import GROUPS

NOISED = ("text", "instruction")  # fields that get noise; a response is the target of learning and stays unchanged
SHORTEST = 4  # the shortest word that gets typos, in characters
Wordings = Sequence[str | None]  # paraphrases of one text; None for a dropped one
Noise = Callable[[list[str], float, random.Random], list[str]]


def input_text(record: Record) -> str:
    """Return the input of a record: its text, or its instruction."""
    return next(text for name, text in record.fields.items() if name in NOISED)


def reworded(record: Record, wording: str) -> Record:
    """Return the record with another wording of its text or instruction."""
    return replace(record, fields={name: wording if name in NOISED else text for name, text in record.fields.items()})


def noised(record: Record, kinds: Sequence[str], rate: float, seed: tuple[int, ...]) -> Record:
    """Return the record with noise in its text or instruction.

    Parameters
    ----------
    record
        A scrubbed record.
    kinds
        Names in ``NOISES``, applied in turn.
    rate
        Probability of each word to be changed by each kind (0 to 1).
    seed
        The run's seed and further numbers; the noise depends on them and on the text only.
    """
    return reworded(record, noised_text(input_text(record), kinds, rate, seed))


def noised_text(text: str, kinds: Sequence[str], rate: float, seed: tuple[int, ...]) -> str:
    """Return the text with noise and single spaces between words; words with digits or angle brackets (tags) stay."""
    own = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    draw = random.Random(derive(seed[0], "view", *seed[1:], own))  # noqa: S311  noise in text, no secret
    words = text.split()
    for kind in kinds:
        words = NOISES[kind](words, rate, draw)
    return " ".join(words)


# Each of these functions changes each word with probability ``rate``, by the random numbers of ``draw``.
def with_typos(words: list[str], rate: float, draw: random.Random) -> list[str]:
    """Swap two letters, leave one out, or double one, in words of four characters or more."""
    return [_typo(word, draw) if is_plain(word) and draw.random() < rate else word for word in words]


def with_other_case(words: list[str], rate: float, draw: random.Random) -> list[str]:
    """Write words in lower case, in capitals, or with a capital."""
    forms: tuple[Callable[[str], str], ...] = (str.lower, str.upper, str.capitalize)
    return [draw.choice(forms)(word) if is_plain(word) and draw.random() < rate else word for word in words]


def with_synonyms(words: list[str], rate: float, draw: random.Random) -> list[str]:
    """Replace words by another of their group of synonyms; most words are in no group."""
    return [_synonym(word, draw) if draw.random() < rate else word for word in words]


def in_other_order(words: list[str], rate: float, draw: random.Random) -> list[str]:
    """Swap neighbouring words."""
    words = list(words)
    for place in range(len(words) - 1):
        if draw.random() < rate and is_plain(words[place]) and is_plain(words[place + 1]):
            words[place], words[place + 1] = words[place + 1], words[place]
    return words


def without_some(words: list[str], rate: float, draw: random.Random) -> list[str]:
    """Leave words out; the last word always stays."""
    return [word for word in words[:-1] if not (is_plain(word) and draw.random() < rate)] + words[-1:]


def is_plain(word: str) -> bool:
    """Return whether noise may change a word."""
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
