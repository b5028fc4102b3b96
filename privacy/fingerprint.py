"""What makes two datasets overlap: their records, and their persons where a column names them, never a file's name.

A record is known by HMACs of its texts under a key that stays at the site. So the same record is found again in a
renamed, re-ordered, split or copied file, in another format, and under another task or column mapping; and nobody without
the key can look a known text up. ``shared.records.types.canonical`` says which ways of writing make no difference.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from shared.errors import LedgerError
from shared.records.types import RawRecord

ID_BYTES = 16
UnitIds = tuple[bytes, ...]


@dataclass(frozen=True)
class Dataset:
    """The identities of a dataset's records: one for each text of a record, and one for its person where that is known.

    Two records are taken for the same when they share any identity, which can only overstate what was spent.
    """

    units: Sequence[UnitIds] = field(repr=False)

    @property
    def ids(self) -> frozenset[bytes]:
        """All identities in it."""
        return frozenset(identity for unit in self.units for identity in unit)

    def to_bytes(self) -> bytes:
        """The sorted identities, one after another; the order and number of files change nothing."""
        return b"".join(sorted(self.ids))

    @property
    def fingerprint(self) -> str:
        """What the ledger calls the dataset."""
        return fingerprint(self.to_bytes())

    @classmethod
    def of(cls, records: Sequence[RawRecord], key: bytes, by_person: bool = False) -> Self:
        """The identities of raw records under the site's key; ``by_person`` makes one unit of all records of a person.

        Raises:
            LedgerError: a record does not say where it comes from, so its spending could not be followed.
        """
        if any(not record.origin for record in records):
            raise LedgerError("a record has no origin, so its spending could not be followed; take it from read_records")
        units = [_unit(record, key) for record in records]
        return cls(_by_person(units, records) if by_person else units)


def fingerprint(ids: bytes) -> str:
    """SHA-256 of a dataset's sorted identities, 64 hexadecimal digits."""
    return hashlib.sha256(ids).hexdigest()


def split_ids(content: bytes) -> frozenset[bytes]:
    """The identities in the bytes of ``Dataset.to_bytes``."""
    return frozenset(content[start : start + ID_BYTES] for start in range(0, len(content), ID_BYTES))


def _by_person(units: Sequence[UnitIds], records: Sequence[RawRecord]) -> list[UnitIds]:
    """What any record of a person has spent, the person has spent."""
    persons: dict[str | None, dict[bytes, None]] = {}
    for unit, record in zip(units, records, strict=True):
        persons.setdefault(record.person, {}).update(dict.fromkeys(unit))
    return [tuple(ids) for ids in persons.values()]


def _unit(record: RawRecord, key: bytes) -> UnitIds:
    persons = [name.encode("utf-8", "surrogatepass") for name in _names(record.person)]
    return tuple(
        hmac.digest(key, kind + value, "sha256")[:ID_BYTES]
        for kind, values in ((b"text/", record.origin), (b"person/", persons))
        for value in values
    )


def _names(person: str | None) -> Sequence[str]:
    """The id of a person, and the number in it without the zeros before it, which spreadsheets leave out.

    For spending alone: "0042" and "42" stay two persons, and what either has spent counts for both.
    """
    if person is None:
        return ()
    bare = person.lstrip("0") or "0"
    return (person, bare) if person.isdecimal() and bare != person else (person,)
