"""Define the two kinds of record: raw, as a site's file holds it, and scrubbed, as tasks accept it."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

# Default_Ignorable_Code_Point of Unicode 16.0 (DerivedCoreProperties.txt): characters that no reader sees.
INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
WHOLE = re.compile(r"([+-]?[0-9]+)\.0+")  # a whole number, as a column with gaps or a spreadsheet writes it


@dataclass(frozen=True)
class Span:
    """A labelled part of a text: characters ``start`` to ``end`` (end excluded) of one field."""

    label: str
    start: int
    end: int


@dataclass(frozen=True)
class RawRecord:
    """One record as the site's file holds it, before anonymisation; its ``repr`` shows no text, so no log can.

    Attributes
    ----------
    fields
        Texts by the task's field names.
    label
        The label, if the task has one label for each record.
    position
        Place in the file, from 1.
    spans
        True spans of personal data by field, if they are known (generated or hand-labelled data).
    origin
        Digests of the whole texts, by which the site's ledger recognises the record.
    person
        The person of the record in the form of ``canonical``, if a column names it.
    known
        Values of other columns that the texts may repeat.
    group
        The declared group, which evaluation compares or an adversary hides.
    tags
        Labelled spans of the first text, which a token classification task learns; None if they are missing, or if cleaning
        lost their places.
    lacks
        Which of label (or tags) and person the row does not have; the anonymiser holds such a record back.
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
    lacks: Literal["label", "person"] | None = None

    def __post_init__(self) -> None:
        if self.person is not None:  # here, so that every record has it, however it is made
            object.__setattr__(self, "person", canonical(self.person))


@dataclass(frozen=True)
class Record:
    """One scrubbed record, made only by the anonymiser; tasks accept no other record.

    The fields are those of ``RawRecord``; ``group`` is set only in a run with an adversary, and ``tags`` have their places
    after scrubbing. Its ``repr`` shows no text, because what the anonymiser missed must not reach a log.
    """

    fields: Mapping[str, str] = field(repr=False)
    label: str | None = field(repr=False, default=None)
    position: int = 0
    group: str | None = field(repr=False, default=None)
    tags: tuple[Span, ...] = field(repr=False, default=())


def content(record: Record, without: Collection[str] = ()) -> bytes:
    """Return everything in a record that training can see, as bytes to compare records with.

    All fields except ``position`` count, so a field that is added to ``Record`` counts too.

    Parameters
    ----------
    record
        A scrubbed record.
    without
        Names of further fields to leave out.
    """
    seen = {name: value for name, value in asdict(record).items() if name != "position" and name not in without}
    return json.dumps(seen, sort_keys=True).encode()


def origin(texts: Iterable[str]) -> tuple[bytes, ...]:
    """Return digests of a record's whole texts, before any cut. They have no key, so they must not be written to a disk.

    Each different text has one digest, whatever the name of its column; a blank text has none, unless all are blank.
    """
    forms = dict.fromkeys(canonical(text) for text in dict.fromkeys(texts))
    counted = [form for form in forms if form] or [""]
    return tuple(hashlib.sha256(form.encode("utf-8", "surrogatepass")).digest() for form in counted)


def canonical(text: str) -> str:
    """Return a form that is equal for two ways to write the same person's id, or the same text.

    Width (NFKC), case, white space, invisible characters and the ``.0`` of a whole number make no difference: "Ann Lee" and
    "ann  lee", "P-17" and "P-17 ", "17" and "17.0" are equal. Leading zeros do make a difference: "0042" and "42" may be two
    persons, and two persons in one unit could change a sum by more than one unit's bound. The anonymiser's normalisation is
    not used, because its rules change, and later versions must recognise the same record.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", INVISIBLE.sub("", text))
        text = unicodedata.normalize("NFKC", text.casefold())
    return without_point(" ".join(text.casefold().split()))


def without_point(text: str) -> str:
    """Return a whole number without its point, and any other text as it is."""
    number = WHOLE.fullmatch(text.strip())
    return number[1] if number else text
