"""Hashes as the ends of ledgers have them."""

import hashlib


def hash_of(text: str) -> str:
    """Return 64 hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()
