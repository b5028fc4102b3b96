"""The entries of a site's ledger: what each says, how they are chained, and how they are read back."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from shared.errors import LedgerError
from shared.wire.chain_head import Head

Kind = Literal["open", "reserve", "commit"]
_RESERVE = frozenset(
    {"run_id", "round", "dataset", "unit", "relation", "target_delta", "plan", "events", "server_entries", "server_hash"}
)
FIELDS: Mapping[str, Sequence[frozenset[str]]] = {
    "open": [frozenset({"site_id", "ledger_id"})],
    "reserve": [_RESERVE | {"rounds"}, _RESERVE],  # earlier versions did not write how many rounds the whole plan has
    "commit": [frozenset({"reserved"})],
}
NOWHERE = "0" * 64


@dataclass(frozen=True)
class Entry:
    """One line of the ledger: its place, what it says, and the chain."""

    seq: int
    kind: Kind
    body: Mapping[str, Any] = field(repr=False)
    prev: str
    hash: str

    def line(self) -> bytes:
        """The entry as it is written."""
        return (canonical({**asdict(self), "body": dict(self.body)}) + "\n").encode()

    @classmethod
    def after(cls, head: Head, kind: Kind, body: Mapping[str, Any]) -> "Entry":
        """The next entry of a chain."""
        prev = head.hash or NOWHERE
        return cls(head.entries, kind, body, prev, _hash(head.entries, kind, body, prev))


def read(path: Path) -> tuple[Entry, ...]:
    """All entries of a ledger file, verified; an unfinished last line that ``head.json`` does not count is left out.

    Raises:
        LedgerError: the file cannot be read, or an entry was altered, left out, put in or moved; names the first.
    """
    beside = path.with_name("head.json")
    head = read_head(beside)  # before the entries: what another process adds meanwhile must not look cut off
    entries = chained(path)
    if len(entries) > (head.entries if head else 0) + 1:  # a crash leaves one entry that the head does not count yet
        if read_head(beside) != head:
            return read(path)  # another process was at work
        what = "is missing beside it" if head is None else f"is an old copy that ends at entry {head.entries - 1}"
        raise LedgerError(f"{path}: ends at entry {len(entries) - 1}, but head.json {what}; restore both from one backup")
    refuse_unless_holds(entries, head or Head(), path)
    return entries


def chained(path: Path) -> tuple[Entry, ...]:
    """All whole lines of a ledger file as entries that follow each other, whatever ``head.json`` says.

    Raises:
        LedgerError: the file cannot be read, or an entry does not have its hash or does not follow.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline was never finished
    except OSError as error:
        raise unusable(path, error) from error
    entries: list[Entry] = []
    for line in lines:
        entries.append(_parse(line, head_of(entries), path))
    return tuple(entries)


def read_head(path: Path) -> Head | None:
    """The head in a file, or None where there is no file.

    Raises:
        LedgerError: it cannot be read.
    """
    try:
        plain = json.loads(path.read_bytes())
        return Head(int(plain["entries"]), str(plain["hash"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        raise LedgerError(f"{path}: cannot be read; restore it from a backup") from None


def refuse_unless_holds(entries: Sequence[Entry], head: Head, path: Path) -> None:
    """Refuse a ledger that does not hold ``head``: so many entries, the last of them with this hash.

    Raises:
        LedgerError: it was cut off, replaced or copied from an older state.
    """
    if head.entries > len(entries):
        raise LedgerError(
            f"{path}: ends at entry {len(entries) - 1}, but entry {head.entries - 1} was seen before: it was cut off, "
            "or is an old copy; restore the newest one"
        )
    if not holds(entries, head):
        raise LedgerError(
            f"{path}: entry {head.entries - 1} is not the one that was seen before: the ledger was replaced or rewritten; "
            "restore the right one"
        )


def holds(entries: Sequence[Entry], head: Head) -> bool:
    """Whether the chain goes through ``head``; each does through the head of no entry."""
    if head.entries <= 0:
        return head == Head()
    return head.entries <= len(entries) and entries[head.entries - 1].hash == head.hash


def head_of(entries: Sequence[Entry]) -> Head:
    """Where a chain of entries ends."""
    return Head(len(entries), entries[-1].hash) if entries else Head()


def canonical(value: Mapping[str, Any]) -> str:
    """The one JSON text of a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def unusable(path: Path, error: OSError) -> LedgerError:
    """What to say of a file of the ledger that the system does not let us use."""
    return LedgerError(
        f"{path}: cannot be read or written ({error.strerror or type(error).__name__}), so nothing is trained; make its "
        "folder writable and free some space"
    )


def _parse(line: bytes, head: Head, path: Path) -> Entry:
    """One line as the entry that must follow ``head``."""
    where = f"{path}: entry {head.entries}"
    try:
        plain = json.loads(line)
        entry = Entry(**plain)
        known = set(entry.body) in FIELDS[entry.kind] and line + b"\n" == entry.line()
    except (ValueError, TypeError, KeyError, AttributeError):
        raise LedgerError(f"{where} is no entry of a ledger; restore the ledger from a backup") from None
    if not known or entry.hash != _hash(entry.seq, entry.kind, entry.body, entry.prev):
        raise LedgerError(f"{where} was altered: it does not have its own hash; restore the ledger from a backup")
    if entry.seq != head.entries or entry.prev != (head.hash or NOWHERE):
        raise LedgerError(
            f"{where} does not follow the one before: one was left out, put in or moved; restore it from a backup"
        )
    return entry


def _hash(seq: int, kind: str, body: Mapping[str, Any], prev: str) -> str:
    content = {"seq": seq, "kind": kind, "body": dict(body), "prev": prev}
    return hashlib.sha256(canonical(content).encode()).hexdigest()
