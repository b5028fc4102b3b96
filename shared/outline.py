"""Nested values as text: a line for each value with its names before it, so that nothing in a record escapes detection."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Each value in an object or list with the names that lead to it, in order; what is empty is left out.

    Numbers and dates are values too; bytes are not text and stay out.
    """
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from leaves(child, f"{name} {key}".strip())
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for child in value:
            yield from leaves(child, name)
    elif value is not None and not isinstance(value, bytes) and str(value).strip():
        yield name, str(value)


def written(value: Any) -> str:
    """An object or list as text, such as ``contact name: Jo``; the names are text as well, and are scrubbed like it."""
    return "\n".join(f"{name}: {leaf}" if name else leaf for name, leaf in leaves(value))
