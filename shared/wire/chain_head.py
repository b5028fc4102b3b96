"""Where a hash chain ends: what server and site tell each other of their books, so that neither can be cut off unseen."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Head:
    """The number of entries of a chain, and the SHA-256 of the last of them (empty for no entry)."""

    entries: int = 0
    hash: str = ""
