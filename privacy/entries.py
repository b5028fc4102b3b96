"""Define the entries of a site's ledger and their hash chain, and read and verify a ledger file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from shared.errors import LedgerError
from shared.ops.canonical_json import canonical_json, json_digest
from shared.wire.chain_head import ChainHead

Kind = Literal["open", "reserve", "commit"]
_RESERVE = frozenset(
    {"run_id", "round", "dataset", "unit", "relation", "target_delta", "plan", "events", "server_entries", "server_hash"}
)
_PLANNED = _RESERVE | {"rounds"}
FIELDS: Mapping[str, Sequence[frozenset[str]]] = {
    "open": [frozenset({"site_id", "ledger_id"})],
    # A secure sum names its attempt. `start` is the digest of the adapter that the round starts from, where the published
    # rounds have the same one. Earlier versions did not write it, and before that not the rounds of the whole plan.
    "reserve": [_PLANNED | {"start"}, _PLANNED | {"start", "attempt"}, _PLANNED, _PLANNED | {"attempt"}, _RESERVE],
    # Earlier versions did not write the digest of the reply; nor does an audit, whose replies stay at the site; nor does a
    # site that announces a key for a secure sum of deltas, before any vector leaves.
    "commit": [frozenset({"reserved", "reply"}), frozenset({"reserved"})],
}
NOWHERE = "0" * 64  # hash before the first entry


@dataclass(frozen=True)
class Entry:
    """One line of the ledger: its index, its content, the hash of the entry before, and its own hash.

    Attributes
    ----------
    seq
        Index of the entry, from 0.
    kind
        What the entry records.
    body
        The fields that ``FIELDS`` lists for this kind.
    prev
        SHA-256 of the entry before; 64 zeros for the first.
    hash
        SHA-256 of the four other fields, as canonical JSON.
    """

    seq: int
    kind: Kind
    body: Mapping[str, Any] = field(repr=False)
    prev: str
    hash: str

    def line(self) -> bytes:
        """Return the entry as the bytes of one line in the file."""
        return (canonical_json({**asdict(self), "body": dict(self.body)}) + "\n").encode()

    @classmethod
    def after(cls, head: ChainHead, kind: Kind, body: Mapping[str, Any]) -> "Entry":
        """Make the entry that follows a chain with this end."""
        prev = head.hash or NOWHERE
        return cls(head.entries, kind, body, prev, _hash(head.entries, kind, body, prev))


def read(path: Path) -> tuple[Entry, ...]:
    """Read and verify all entries of a ledger file.

    The last line is left out if it has no line end. A crash may leave one whole entry that ``head.json`` does not count yet;
    that entry is returned.

    Parameters
    ----------
    path
        The file ``ledger.jsonl``; ``head.json`` lies next to it.

    Raises
    ------
    LedgerError
        The file cannot be read, or an entry was altered, removed, inserted or moved; the message names the first.
    """
    head_file = path.with_name("head.json")
    head = read_head(head_file)  # read before the entries, so that entries added meanwhile do not look like a truncation
    entries = chained(path)
    if len(entries) > (head.entries if head else 0) + 1:  # a crash may leave one entry that the head does not count yet
        if read_head(head_file) != head:
            return read(path)  # another process has written meanwhile
        what = "is missing" if head is None else f"is an old copy that ends at entry {head.entries - 1}"
        raise LedgerError(
            f"{path}: ends at entry {len(entries) - 1}, but head.json next to it {what}; restore both from one backup"
        )
    refuse_unless_holds(entries, head or ChainHead(), path)
    return entries


def chained(path: Path) -> tuple[Entry, ...]:
    """Read all complete lines of a ledger file as entries that follow each other; ignore ``head.json``.

    Parameters
    ----------
    path
        The file ``ledger.jsonl``.

    Raises
    ------
    LedgerError
        The file cannot be read, or an entry does not have its hash or does not follow the one before.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # text after the last newline is an unfinished write
    except OSError as error:
        raise unusable(path, error) from error
    entries: list[Entry] = []
    for line in lines:
        entries.append(_parse(line, head_of(entries), path))
    return tuple(entries)


def read_head(path: Path) -> ChainHead | None:
    """Read the length and last hash from a file; None if the file does not exist.

    Parameters
    ----------
    path
        The file ``head.json``.

    Raises
    ------
    LedgerError
        The file cannot be read.
    """
    try:
        plain = json.loads(path.read_bytes())
        return ChainHead(int(plain["entries"]), str(plain["hash"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise LedgerError(f"{path}: cannot be read; restore it from a backup") from None


def refuse_unless_holds(entries: Sequence[Entry], head: ChainHead, path: Path) -> None:
    """Refuse a ledger that does not contain ``head``: at least that many entries, with that hash at that place.

    Parameters
    ----------
    entries
        Entries of the ledger.
    head
        A length and hash that was seen earlier.
    path
        File of the ledger, for the message.

    Raises
    ------
    LedgerError
        The ledger was cut off, replaced, or copied from an older state.
    """
    if head.entries > len(entries):
        raise LedgerError(
            f"{path}: ends at entry {len(entries) - 1}, but entry {head.entries - 1} was seen before: the ledger was cut "
            "off, or is an old copy; restore the newest copy"
        )
    if not holds(entries, head):
        raise LedgerError(
            f"{path}: entry {head.entries - 1} differs from the one that was seen before: the ledger was replaced or "
            "rewritten; restore the right ledger"
        )


def holds(entries: Sequence[Entry], head: ChainHead) -> bool:
    """Tell whether the chain contains ``head``; every chain contains the head of an empty one."""
    if head.entries <= 0:
        return head == ChainHead()
    return head.entries <= len(entries) and entries[head.entries - 1].hash == head.hash


def head_of(entries: Sequence[Entry]) -> ChainHead:
    """Return the length and last hash of a chain of entries, which are in order."""
    return ChainHead(len(entries), entries[-1].hash) if entries else ChainHead()


def unusable(path: Path, error: OSError) -> LedgerError:
    """Return the error for a file of the ledger that cannot be read or written."""
    return LedgerError(
        f"{path}: cannot be read or written ({error.strerror or type(error).__name__}), so nothing is trained; make its "
        "folder writable and free some space"
    )


@lru_cache(maxsize=4096)  # a ledger is read about ten times in each round
def _parse(line: bytes, head: ChainHead, path: Path) -> Entry:
    """Parse one line as the entry that must follow ``head``; the same line after the same head is the same entry."""
    where = f"{path}: entry {head.entries}"
    try:
        plain = json.loads(line)
        entry = Entry(**plain)
        known = set(entry.body) in FIELDS[entry.kind] and line + b"\n" == entry.line()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise LedgerError(f"{where} is not a ledger entry; restore the ledger from a backup") from None
    if not known or entry.hash != _hash(entry.seq, entry.kind, entry.body, entry.prev):
        raise LedgerError(f"{where} was altered: it does not match its own hash; restore the ledger from a backup")
    if entry.seq != head.entries or entry.prev != (head.hash or NOWHERE):
        raise LedgerError(
            f"{where} does not follow the entry before: one was removed, inserted or moved; restore the ledger from a backup"
        )
    return entry


def _hash(seq: int, kind: str, body: Mapping[str, Any], prev: str) -> str:
    return json_digest({"seq": seq, "kind": kind, "body": dict(body), "prev": prev})
