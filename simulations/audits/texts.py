"""Make canary texts: words of the records, followed by a secret (an invented name and number), with a random label."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.config.run import RunConfig
from shared.records.types import RawRecord, origin
from simulations.data.synthetic import stream

FIRST = "Adele Bruno Clara Dario Edith Felix Greta Hanno Ilona Jonas Karla Leo Mona Nils Olga Paul".split()  # noqa: SIM905
LAST = (
    "Abbott Barnes Carver Dalton Ellis Foster Garner Harper Ingram Jensen Keller Lawson Mercer Norton Osborne Palmer".split()  # noqa: SIM905
)
NUMBERS = tuple(f"07{700 + 13 * i} {900123 - 4567 * i}" for i in range(16))
SPACE = len(FIRST) * len(LAST) * len(NUMBERS)  # 2^12 secrets
WORDS = 10  # words of the records in one text
FAR = 10_000_000  # positions of canaries lie beyond those of records


@dataclass(frozen=True)
class Canary:
    """A text whose secret can be exchanged.

    Attributes
    ----------
    position
        Position of its record, beyond those of all real records.
    copies
        How often the text is trained on; 0 for never.
    secret
        Number of its secret, a name with a telephone number: 0 to 2^12 - 1.
    words, label
        What else its record holds.
    fields
        Names of the record's texts.
    """

    position: int
    copies: int
    secret: int = field(repr=False)
    words: str = field(repr=False)
    label: str | None = field(repr=False)
    fields: tuple[str, ...]

    def record(self, secret: int | None = None) -> RawRecord:
        """Return the canary as a record, with its own secret or another one of the 2^12."""
        name, number = self.named(self.secret if secret is None else secret)
        if len(self.fields) == 1:
            texts = {self.fields[0]: f"{self.words}. My name is {name}, call me on {number}."}
        else:
            texts = {self.fields[0]: f"{self.words}. How can I reach {name}?", self.fields[1]: f"Call {name} on {number}."}
        return RawRecord(texts, self.label, self.position, origin=origin(texts.values()))

    @property
    def answer(self) -> str:
        """Return what an extraction must find: the telephone number."""
        return self.named(self.secret)[1]

    @staticmethod
    def named(secret: int) -> tuple[str, str]:
        """Return the name and the number of a secret."""
        rest, number = divmod(secret, len(NUMBERS))
        first, last = divmod(rest, len(LAST))
        return f"{FIRST[first]} {LAST[last]}", NUMBERS[number]


def canaries(config: RunConfig, records: Sequence[RawRecord], count: int, draw: str = "") -> list[Canary]:
    """Return ``count`` canaries to train on once, as many to train on four times, and twice as many never to train on.

    All texts come from one distribution, so nothing but the number of copies distinguishes them.

    Parameters
    ----------
    config
        The run, with its seed, its task's fields and its labels.
    records
        Records whose words the texts use.
    count
        Number of canaries of each kind.
    draw
        Name of the draw; another name gives other canaries.
    """
    rng = stream(config.run.seed, "canaries", draw)
    words = sorted(
        {word for record in records for text in record.fields.values() for word in text.split() if word.isalpha()}
    )
    copies = [1] * count + [4] * count + [0] * (2 * count)
    rng.shuffle(copies)
    return [_canary(config, rng, words, FAR + place, many) for place, many in enumerate(copies)]


def _canary(config: RunConfig, rng: random.Random, words: Sequence[str], position: int, copies: int) -> Canary:
    label = rng.choice(config.task.labels) if config.task.declared.target == "label" else None
    text = " ".join(rng.choice(words) for _ in range(WORDS)) if words else "note"
    return Canary(position, copies, rng.randrange(SPACE), text, label, tuple(config.task.declared.fields))


def other_secrets(canary: Canary, count: int, rng: random.Random) -> list[int]:
    """Draw different secrets, none of them the canary's own.

    Parameters
    ----------
    canary
        The canary.
    count
        How many, at most 2^12 - 1.
    rng
        Source of randomness.
    """
    return rng.sample([secret for secret in range(SPACE) if secret != canary.secret], count)
