"""Identify datasets by their records and persons, not by file names, so that overlaps are recognised.

A record is identified by HMACs of its texts under a key that stays at the site. The same record is therefore recognised in a
renamed, reordered, split or copied file, in another format, and under another task or column mapping; without the key,
nobody can look up a known text. ``shared.records.types.canonical`` defines which spellings of a text count as the same.
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
    """The identities of a dataset's records: one for each text of a record, and one for its person if known.

    Two records count as the same if they share any identity, which can only overstate the spent budget.
    """

    units: Sequence[UnitIds] = field(repr=False)

    @property
    def ids(self) -> frozenset[bytes]:
        """Return the set of all identities."""
        return frozenset(identity for unit in self.units for identity in unit)

    def to_bytes(self) -> bytes:
        """Return the sorted identities joined; the order of records and the number of files do not matter."""
        return b"".join(sorted(self.ids))

    @property
    def fingerprint(self) -> str:
        """Return the name of the dataset in the ledger: SHA-256 of its identities, 64 hexadecimal digits."""
        return fingerprint(self.to_bytes())

    @classmethod
    def of(cls, records: Sequence[RawRecord], key: bytes, by_person: bool = False) -> Self:
        """Compute the identities of raw records; a record without any text has none, because it is never trained on.

        Parameters
        ----------
        records
            Raw records, each with its origin.
        key
            Secret key of the site.
        by_person
            Whether all records of one person form one unit.

        Raises
        ------
        LedgerError
            A record has no origin, so its spending cannot be followed.
        """
        if any(not record.origin for record in records):
            raise LedgerError("a record has no origin, so its spending cannot be followed; make it with read_records")
        records = [record for record in records if any(map(str.strip, record.fields.values()))]
        units = [_unit(record, key) for record in records]
        return cls(_by_person(units, records) if by_person else units)


def fingerprint(ids: bytes) -> str:
    """Return the SHA-256 of a dataset's sorted identities, 64 hexadecimal digits."""
    return hashlib.sha256(ids).hexdigest()


def split_ids(content: bytes) -> frozenset[bytes]:
    """Return the identities in the bytes of ``Dataset.to_bytes``."""
    return frozenset(content[start : start + ID_BYTES] for start in range(0, len(content), ID_BYTES))


def _by_person(units: Sequence[UnitIds], records: Sequence[RawRecord]) -> list[UnitIds]:
    """Merge the units of each person, because a person has spent whatever any of their records has spent."""
    persons: dict[str | None, dict[bytes, None]] = {}
    for unit, record in zip(units, records, strict=True):
        persons.setdefault(record.person, {}).update(dict.fromkeys(unit))
    return [tuple(ids) for ids in persons.values()]


def _unit(record: RawRecord, key: bytes) -> UnitIds:
    """Return the identities of one record: one for each of its texts, and those of its person."""
    persons = [name.encode("utf-8", "surrogatepass") for name in _names(record.person)]
    return tuple(
        hmac.digest(key, kind + value, "sha256")[:ID_BYTES]
        for kind, values in ((b"text/", record.origin), (b"person/", persons))
        for value in values
    )


def _names(person: str | None) -> Sequence[str]:
    """Return the id of a person, and for a number also the number without leading zeros, which spreadsheets drop.

    This is only for spending: "0042" and "42" stay two persons, but whatever either has spent counts for both.
    """
    if person is None:
        return ()
    bare = person.lstrip("0") or "0"
    return (person, bare) if person.isdecimal() and bare != person else (person,)
