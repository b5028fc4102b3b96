"""Which records a simulator holds out: decided by a hash of the text, so that equal texts fall on one side."""

import hashlib
from collections.abc import Sequence

from shared.record import RawRecord


def split_held_out(records: Sequence[RawRecord], share: float, seed: int) -> tuple[list[RawRecord], list[RawRecord]]:
    """Training records and held-out records; each record's side depends on its own text and the seed alone."""
    training: list[RawRecord] = []
    held_out: list[RawRecord] = []
    for record in records:
        (held_out if _position(record, seed) < share else training).append(record)
    return training, held_out


def _position(record: RawRecord, seed: int) -> float:
    """A number in [0, 1) from the hash of the first field."""
    text = next(iter(record.fields.values()))
    digest = hashlib.sha256(f"{seed}/{text}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
