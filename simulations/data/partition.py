"""Which records are held out: decided by a hash of the person or the text, so that what is one stays on one side."""

import hashlib
import hmac
from collections.abc import Sequence

from shared.records.types import RawRecord


def split_held_out(records: Sequence[RawRecord], share: float, seed: int) -> tuple[list[RawRecord], list[RawRecord]]:
    """Training records and held-out records; each record's side depends on its own text, or its person, and the seed alone.

    Where a person is known, all their records are on one side: the model is not measured on whom it learnt from.
    """
    training: list[RawRecord] = []
    held_out: list[RawRecord] = []
    for record in records:
        (held_out if _position(record, seed) < share else training).append(record)
    return training, held_out


def _position(record: RawRecord, seed: int) -> float:
    """A number in [0, 1) from the HMAC of the person, or from the hash of the first field."""
    if record.person is not None:
        digest = hmac.digest(str(seed).encode(), record.person.encode("utf-8", "surrogatepass"), "sha256")
        return int.from_bytes(digest[:8], "big") / 2**64
    text = next(iter(record.fields.values()))
    digest = hashlib.sha256(f"{seed}/{text}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
