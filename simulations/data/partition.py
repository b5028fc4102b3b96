"""Split records into training and held-out ones by a hash of the person or the text.

All records of one person, and all copies of one text, are on the same side of the split.
"""

import hashlib
import hmac
from collections.abc import Sequence

from shared.records.types import RawRecord


def split_held_out(records: Sequence[RawRecord], share: float, seed: int) -> tuple[list[RawRecord], list[RawRecord]]:
    """Split records into training and held-out records.

    The side of a record depends only on the seed and on its person or, without a person, on its first text. So the model is
    never evaluated on records of people whose other records it was trained on.

    Parameters
    ----------
    records
        The records to split.
    share
        Expected share of held-out records (with persons: of persons), 0 to 1.
    seed
        The run's seed.

    Returns
    -------
    tuple[list[RawRecord], list[RawRecord]]
        Training records and held-out records, in their original order.
    """
    training: list[RawRecord] = []
    held_out: list[RawRecord] = []
    for record in records:
        (held_out if _position(record, seed) < share else training).append(record)
    return training, held_out


def _position(record: RawRecord, seed: int) -> float:
    """Hash the person, or else the first field, to a number in [0, 1)."""
    if record.person is not None:
        digest = hmac.digest(str(seed).encode(), record.person.encode("utf-8", "surrogatepass"), "sha256")
    else:
        text = next(iter(record.fields.values()))
        digest = hashlib.sha256(f"{seed}/{text}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
