"""The two kinds of record: raw as it lies at a site, and scrubbed as a task may see it."""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Span:
    """A labelled stretch of personal data: characters ``start`` to ``end`` (end excluded) of one field."""

    label: str
    start: int
    end: int


@dataclass(frozen=True)
class RawRecord:
    """One record as the site's file holds it; it never leaves ``shared.records`` and the anonymiser.

    ``fields`` maps a task's field names to text, ``position`` is the record's 1-based place in its file, and
    ``spans`` holds the true personal data by field where it is known (generated or hand-labelled data).
    ``origin`` holds digests of the whole texts, by which the site's ledger knows the record again, and ``person`` names
    whose it is, where a column says so; ``known`` are values of other columns that its texts may repeat, and ``group`` is
    the declared group, which evaluation compares or an adversary hides. Its ``repr`` shows no text, so that no log or
    traceback can.
    """

    fields: Mapping[str, str] = field(repr=False)
    label: str | None = field(repr=False, default=None)
    position: int = 0
    spans: Mapping[str, tuple[Span, ...]] = field(repr=False, default_factory=dict)
    origin: tuple[bytes, ...] = field(repr=False, default=(), compare=False)
    person: str | None = field(repr=False, default=None)
    known: tuple[str, ...] = field(repr=False, default=())
    group: str | None = field(repr=False, default=None)


@dataclass(frozen=True)
class Record:
    """One scrubbed record, made by the anonymiser alone; tasks accept nothing else.

    ``group`` is its declared group, which only a run with an adversary carries on from the raw record. Its ``repr`` shows no
    text: what the anonymiser missed must not reach a log.
    """

    fields: Mapping[str, str] = field(repr=False)
    label: str | None = field(repr=False, default=None)
    position: int = 0
    group: str | None = field(repr=False, default=None)


def origin(texts: Sequence[str]) -> tuple[bytes, ...]:
    """Digests of a record's whole texts, as the file holds them, before any cut; for memory only, never for a disk.

    Width, case and white space make no other record. Nothing of the anonymiser is used here: its rules change, and a
    record must be known again by later versions.
    """
    plain = (" ".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in texts)
    return tuple(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in plain)
