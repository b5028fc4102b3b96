"""Write nested values as text, a line for each value with its names before it, so that nothing escapes detection."""

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

MIDNIGHT = datetime.time()


def plain(value: Any) -> str:
    """Return one value as text, in the way in which a file of text would hold it.

    A number or date is written alike whatever the format and the column's type made of it: a whole number has no point,
    ``true`` and ``false`` are small, and a date has no hour of midnight. A value that is missing is empty.
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
    """Say whether there is no value: null, not a number (what is left of a null among numbers), or blank text."""
    if isinstance(value, float | Decimal):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each value in an object or list with the names that lead to it, in order, without empty values.

    Numbers and dates are values too; bytes are not text and stay out.
    """
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from leaves(child, f"{name} {key}".strip())
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for child in value:
            yield from leaves(child, name)
    elif not is_missing(value) and not isinstance(value, bytes):
        yield name, plain(value)


def written(value: Any) -> str:
    """Return an object or list as text, such as ``contact name: Jo``; the names are scrubbed too."""
    return "\n".join(f"{name}: {leaf}" if name else leaf for name, leaf in leaves(value))
