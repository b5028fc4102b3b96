"""Length and last hash of a hash chain; server and site exchange them so that truncation is detected."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ChainHead:
    """The end of a hash chain.

    Attributes
    ----------
    entries
        Number of entries in the chain.
    hash
        SHA-256 of the last entry, 64 hexadecimal digits; empty if there is no entry.
    """

    entries: int = 0
    hash: str = ""
