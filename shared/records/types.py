"""Define the two kinds of record: raw as it lies at a site, and scrubbed as a task may see it."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field

# Default_Ignorable_Code_Point of Unicode 16.0 (DerivedCoreProperties.txt): characters that no reader sees.
INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
WHOLE = re.compile(r"([+-]?[0-9]+)\.0+")  # a whole number, as a column with gaps or a spreadsheet writes it


@dataclass(frozen=True)
class Span:
    """A labelled stretch of a text: characters ``start`` to ``end`` (end excluded) of one field."""

    label: str
    start: int
    end: int


@dataclass(frozen=True)
class RawRecord:
    """One record as the site's file holds it; it never leaves ``shared.records.read`` and the anonymiser.

    ``fields`` maps a task's field names to text, ``position`` is the record's 1-based place in its file, and
    ``spans`` holds the true personal data by field where it is known (generated or hand-labelled data).
    ``origin`` holds digests of the whole texts, by which the site's ledger knows the record again, and ``person`` names
    whose it is, where a column says so, always in the form of ``canonical``; ``known`` are values of other columns that its
    texts may repeat, and ``group`` is the declared group, which evaluation compares or an adversary hides. ``tags`` are the
    labelled stretches of the first text that a tagging task learns, None if cleaning lost their places. Its ``repr`` shows
    no text, so that no log or traceback can.
    """

    fields: Mapping[str, str] = field(repr=False)
    label: str | None = field(repr=False, default=None)
    position: int = 0
    spans: Mapping[str, tuple[Span, ...]] = field(repr=False, default_factory=dict)
    origin: tuple[bytes, ...] = field(repr=False, default=(), compare=False)
    person: str | None = field(repr=False, default=None)
    known: tuple[str, ...] = field(repr=False, default=())
    group: str | None = field(repr=False, default=None)
    tags: tuple[Span, ...] | None = field(repr=False, default=())

    def __post_init__(self) -> None:
        if self.person is not None:  # here, so that no way of making a record lets one person count as two
            object.__setattr__(self, "person", canonical(self.person))


@dataclass(frozen=True)
class Record:
    """One scrubbed record, made by the anonymiser alone; tasks accept nothing else.

    ``group`` is its declared group, which only a run with an adversary carries on from the raw record, and ``tags`` are the
    labelled stretches of its first text, where they are after scrubbing. Its ``repr`` shows no text: what the anonymiser
    missed must not reach a log.
    """

    fields: Mapping[str, str] = field(repr=False)
    label: str | None = field(repr=False, default=None)
    position: int = 0
    group: str | None = field(repr=False, default=None)
    tags: tuple[Span, ...] = field(repr=False, default=())


def content(record: Record, without: Collection[str] = ()) -> bytes:
    """Return all of a record that training can see, as bytes that are equal when all of it is.

    All fields count but its place in its file, so a field that is new counts as well.

    Parameters
    ----------
    record
        A scrubbed record.
    without
        Names of further fields that are left out.
    """
    seen = {name: value for name, value in asdict(record).items() if name != "position" and name not in without}
    return json.dumps(seen, sort_keys=True).encode()


def origin(texts: Iterable[str]) -> tuple[bytes, ...]:
    """Return digests of a record's whole texts, as the file holds them before any cut; for memory only, never for a disk.

    Each different text has one, whatever the name of its column; a blank text has none, unless all are blank.
    """
    forms = dict.fromkeys(canonical(text) for text in dict.fromkeys(texts))
    told = [form for form in forms if form] or [""]
    return tuple(hashlib.sha256(form.encode("utf-8", "surrogatepass")).digest() for form in told)


def canonical(text: str) -> str:
    """Return the form in which two ways to write one person's id, or one text, are equal.

    Width (NFKC), case, white space, characters that no reader sees, and the point of a whole number make no difference:
    "Ann Lee" and "ann  lee", "P-17" and "P-17 ", "17" and "17.0". Zeros before a number do: "0042" and "42" may be two
    persons, and two persons in one unit would change it by more than one unit may. Nothing of the anonymiser is used here:
    its rules change, and a record must be known again by later versions.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", INVISIBLE.sub("", text))
        text = unicodedata.normalize("NFKC", text.casefold())
    return whole(" ".join(text.casefold().split()))


def whole(text: str) -> str:
    """Return a whole number without its point, and any other text as it is."""
    number = WHOLE.fullmatch(text.strip())
    return number[1] if number else text
