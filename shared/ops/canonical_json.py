"""Write plain values as canonical JSON, in which equal values have equal bytes, so that they can be signed and compared."""

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> str:
    """Return a plain value as JSON in ASCII, with sorted keys and without spaces.

    Raises
    ------
    ValueError
        A number is NaN or infinite, for which JSON has no form.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def json_digest(value: Any) -> str:
    """Return the SHA-256 of a plain value's canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
