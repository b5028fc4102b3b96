"""Write nested values as text, one line for each value with its names before it, so that detection reads all of them."""

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

MIDNIGHT = datetime.time()
MISSING = frozenset({"na", "n/a", "#n/a", "<na>", "nan", "null", "none", "nil"})  # as pandas, R, SQL and Excel write it


def as_text(value: Any) -> str:
    """Return one value as text, the same for every file format and column type.

    A whole number has no decimal point, ``true`` and ``false`` are in small letters, and a date at midnight has no time of
    day. A missing value is empty.
    """
    if is_missing(value):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.timetz() == MIDNIGHT:
        return value.date().isoformat()
    return str(value)


def is_missing(value: Any) -> bool:
    """Return whether there is no value: null, NaN (which replaces null in a column of numbers), or blank text."""
    if isinstance(value, float | Decimal):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def says_missing(value: Any) -> bool:
    """Return whether a cell holds no label or person: nothing, or a word that programs write for a missing value."""
    return is_missing(value) or (isinstance(value, str) and value.strip().casefold() in MISSING)


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each value in an object or list, in order, with the names that lead to it; omit missing values and bytes."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from leaves(child, f"{name} {key}".strip())
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for child in value:
            yield from leaves(child, name)
    elif not is_missing(value) and not isinstance(value, bytes):
        yield name, as_text(value)


def nested_as_text(value: Any) -> str:
    """Return an object or list as text, such as ``contact name: Jo``; the names are scrubbed too."""
    return "\n".join(f"{name}: {leaf}" if name else leaf for name, leaf in leaves(value))
