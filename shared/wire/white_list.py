"""Check a message of Flower against a white-list: exactly these parts, these fields of these types, and plain numbers."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from flwr.app import Array, ConfigRecord, RecordDict

from shared.errors import MessageError
from shared.wire.chain_head import ChainHead
from shared.wire.encodings import Numbers

HEADER = "header"
LEDGER: Mapping[str, type] = {"ledger_entries": int, "ledger_hash": str}
RECORD: Mapping[str, type] = {"record_entries": int, "record_hash": str}
NAMES = ("run_id", "nonce", "site_id", "version")
SHORT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,127}")  # contains no path separator and no space
HASH = re.compile(r"[0-9a-f]{64}")
MOST_ENTRIES = 2**53  # longest hash chain; a larger number is not exact in JSON
NUMPY_MAGIC = b"\x93NUMPY"
NUMPY_HEADER = 4096  # largest accepted numpy header in bytes; our arrays have 128


def header_of(record: RecordDict, parts: Collection[str], types: Mapping[str, type], what: str) -> dict[str, Any]:
    """Return the header of a message that has exactly the agreed parts and fields; each value is of its type.

    Parameters
    ----------
    record
        Message of Flower.
    parts
        Names of the message's parts, the header included.
    types
        Type of each field of the header.
    what
        Kind of the message, for an error.

    Raises
    ------
    MessageError
        The message has other parts, its header has other fields or types, or a name in it is not a short name.
    """
    header = record.get(HEADER)
    if set(record) != set(parts) or not isinstance(header, ConfigRecord):
        raise MessageError(f"{what}: does not hold exactly the records {', '.join(sorted(parts))}")
    if set(header) != set(types) or any(type(header[name]) is not kind for name, kind in types.items()):
        raise MessageError(f"{what}: its header does not hold exactly the fields {', '.join(types)}")
    if not all(SHORT_NAME.fullmatch(str(header[name])) for name in NAMES if name in types):
        raise MessageError(
            f"{what}: a field of its header is not a short name (letters, digits and . + _ -), so it is refused"
        )
    return dict(header)


def head_fields(name: str, head: ChainHead) -> dict[str, str | int]:
    """Return the fields of a header that carry the end of a hash chain, ``ledger`` or ``record``."""
    return {f"{name}_entries": head.entries, f"{name}_hash": head.hash}


def head_of(header: Mapping[str, Any], name: str, what: str) -> ChainHead:
    """Return the end of a hash chain in a message's header.

    Parameters
    ----------
    header
        Header of the message, whose types were checked.
    name
        Name of the chain: ``ledger`` or ``record``.
    what
        Kind of the message, for an error.

    Raises
    ------
    MessageError
        The fields are not a number of entries and the hash of the last one.
    """
    head = ChainHead(header[f"{name}_entries"], header[f"{name}_hash"])
    if not 0 <= head.entries <= MOST_ENTRIES or not (HASH.fullmatch(head.hash) if head.entries else not head.hash):
        raise MessageError(
            f"{what}: its {name} does not end with a hash of 64 hexadecimal digits, or has no number of entries"
        )
    return head


def numbers_of(array: Array, dtype: str, what: str) -> Numbers:
    """Return the numbers of an array; Flower reads them without pickle.

    Parameters
    ----------
    array
        Array of a message.
    dtype
        The type that the numbers must have.
    what
        Kind of the message, for an error.

    Raises
    ------
    MessageError
        The array is not in numpy's plain format, or not of this type and its declared shape.
    """
    # The declared shape must match the size of the data before anything is allocated or parsed.
    expected = int(np.prod([int(n) for n in array.shape], dtype=object)) * np.dtype(dtype).itemsize
    if not 0 <= len(array.data) - expected <= NUMPY_HEADER:
        raise MessageError(f"{what}: an array is not {dtype} numbers of its declared shape")
    if not array.data.startswith(NUMPY_MAGIC):
        raise MessageError(f"{what}: an array is not in numpy's plain format")
    try:
        numbers = array.numpy()
    except Exception as error:  # a parser of foreign bytes may raise anything
        raise MessageError(f"{what}: an array cannot be read as plain numbers") from error
    if not isinstance(numbers, np.ndarray) or numbers.dtype != np.dtype(dtype) or numbers.shape != tuple(array.shape):
        raise MessageError(f"{what}: an array is not {dtype} numbers of its declared shape")
    return numbers
