"""A site's budget book: append-only JSON lines, each chained to the one before by SHA-256, on the disk before it counts.

It holds mechanism events, not epsilons: those are recomputed from it, here or by anybody. ``head.json`` beside it says how
many entries were on the disk, so that a lost tail is seen; the server keeps the same head from each round's reply, so that
a tail that was cut off together with ``head.json`` is seen too.
"""

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from privacy.fingerprint import Dataset, fingerprint, split_ids
from shared.disk import replace_file, sync_folder
from shared.errors import LedgerError
from shared.head import Head

Kind = Literal["open", "reserve", "commit"]
FIELDS: Mapping[str, frozenset[str]] = {
    "open": frozenset({"site_id", "ledger_id"}),
    "reserve": frozenset(
        {"run_id", "round", "dataset", "unit", "relation", "target_delta", "plan", "events", "server_entries", "server_hash"}
    ),
    "commit": frozenset({"reserved"}),
}
KEY_BYTES = 32
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
        return (_canonical({**asdict(self), "body": dict(self.body)}) + "\n").encode()

    @classmethod
    def after(cls, head: Head, kind: Kind, body: Mapping[str, Any]) -> "Entry":
        """The next entry of a chain."""
        prev = head.hash or NOWHERE
        return cls(head.entries, kind, body, prev, _hash(head.entries, kind, body, prev))


class Ledger:
    """The ledger in a site's folder, made on first use.

    Raises:
        LedgerError: the folder cannot be written, the ledger is of another site, or it was altered; the message names the
            first bad entry.
    """

    def __init__(self, folder: Path, site_id: str) -> None:
        self.folder = folder
        self.path = folder / "ledger.jsonl"
        self._site_id = site_id
        try:
            (folder / "datasets").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(self.path, error) from error
        with self.locked():
            if not self.path.exists():
                self._append("open", {"site_id": site_id, "ledger_id": secrets.token_hex(16)})
            self._refuse_other_site(self.entries()[0])
            self.key = self._load_key()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the ledger against every other process and thread."""
        try:
            handle = (self.folder / "ledger.lock").open("w")
        except OSError as error:
            raise _unusable(self.path, error) from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def entries(self) -> tuple[Entry, ...]:
        """All entries, verified from the first to the last and against ``head.json``."""
        return read(self.path)

    def head(self) -> Head:
        """Where the ledger ends."""
        return _head(self.entries())

    def reserve(self, dataset: Dataset, **body: Any) -> Entry:
        """Write down what is about to be spent on a dataset; on the disk when this returns. Call under ``locked``.

        Raises:
            LedgerError: the disk is full or not writable; nothing was reserved, so nothing may be trained.
        """
        content = dataset.to_bytes()
        name = fingerprint(content)
        path = self.folder / "datasets" / f"{name}.ids"
        try:
            if not path.exists():
                replace_file(path, content)
        except OSError as error:
            raise _unusable(path, error) from error
        return self._append("reserve", {"dataset": name, **body})

    def commit(self, reservation: Entry) -> Entry:
        """Close a reservation. It was spent before, and stays spent if this fails. Call under ``locked``."""
        return self._append("commit", {"reserved": reservation.seq})

    def refuse_unless_holds(self, head: Head) -> None:
        """Refuse to go on with a ledger that lacks what the server saw of it.

        Raises:
            LedgerError: it was cut off, replaced or copied from an older state.
        """
        refuse_unless_holds(self.entries(), head, self.path)

    def _append(self, kind: Kind, body: Mapping[str, Any]) -> Entry:
        """Add an entry: to the disk, then into ``head.json``. What cannot be written raises; an
        entry that reached the disk all the same counts."""
        before = _head(self.entries()) if self.path.exists() else Head()
        entry = Entry.after(before, kind, body)
        try:
            _write_line(self.path, entry.line())
            replace_file(
                self.path.with_name("head.json"), _canonical({"entries": entry.seq + 1, "hash": entry.hash}).encode()
            )
        except OSError as error:
            raise _unusable(self.path, error) from error
        return entry

    def _refuse_other_site(self, first: Entry) -> None:
        owner = first.body["site_id"]
        if owner != self._site_id:
            raise LedgerError(
                f"{self.path}: is the ledger of site {owner}, not of {self._site_id}; give each site a folder of its own"
            )

    def _load_key(self) -> bytes:
        """The key of record identities, made with the ledger."""
        path = self.folder / "fingerprint.key"
        try:
            if not path.exists() and len(self.entries()) == 1:
                replace_file(path, secrets.token_bytes(KEY_BYTES))
            key = path.read_bytes()
        except OSError as error:
            raise _unusable(path, error) from error
        if len(key) != KEY_BYTES:
            raise LedgerError(
                f"{path}: is no fingerprint key; restore it, or records that were used before are not known again"
            )
        return key


def read(path: Path) -> tuple[Entry, ...]:
    """All entries of a ledger file, verified; an unfinished last line that ``head.json`` does not count is left out.

    Raises:
        LedgerError: the file cannot be read, or an entry was altered, left out, put in or moved; names the first.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline was never finished
    except OSError as error:
        raise _unusable(path, error) from error
    entries: list[Entry] = []
    for line in lines:
        entries.append(_parse(line, _head(entries), path))
    _check_head(entries, path)
    return tuple(entries)


def read_dataset(folder: Path, name: str) -> frozenset[bytes]:
    """The identities of a dataset that an entry of the ledger in ``folder`` names.

    Raises:
        LedgerError: its file is missing or altered.
    """
    path = folder / "datasets" / f"{name}.ids"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unusable(path, error) from error
    if fingerprint(content) != name:
        raise LedgerError(f"{path}: altered, it does not have the fingerprint of its name; restore it from a backup")
    return split_ids(content)


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
    if head.entries and entries[head.entries - 1].hash != head.hash:
        raise LedgerError(
            f"{path}: entry {head.entries - 1} is not the one that was seen before: the ledger was replaced or rewritten; "
            "restore the right one"
        )


def _parse(line: bytes, head: Head, path: Path) -> Entry:
    """One line as the entry that must follow ``head``."""
    where = f"{path}: entry {head.entries}"
    try:
        plain = json.loads(line)
        entry = Entry(**plain)
        known = set(entry.body) == FIELDS[entry.kind] and line + b"\n" == entry.line()
    except (ValueError, TypeError, KeyError, AttributeError):
        raise LedgerError(f"{where} is no entry of a ledger; restore the ledger from a backup") from None
    if not known or entry.hash != _hash(entry.seq, entry.kind, entry.body, entry.prev):
        raise LedgerError(f"{where} was altered: it does not have its own hash; restore the ledger from a backup")
    if entry.seq != head.entries or entry.prev != (head.hash or NOWHERE):
        raise LedgerError(
            f"{where} does not follow the one before: one was left out, put in or moved; restore it from a backup"
        )
    return entry


def _check_head(entries: Sequence[Entry], path: Path) -> None:
    """The entries must reach the head that was written after the last of them; they may be one ahead after a crash."""
    try:
        plain = json.loads(path.with_name("head.json").read_bytes())
        head = Head(int(plain["entries"]), str(plain["hash"]))
    except FileNotFoundError:
        if len(entries) > 1:
            raise LedgerError(f"{path}: head.json is missing beside it; restore both from one backup") from None
        return
    except (OSError, ValueError, TypeError, KeyError):
        raise LedgerError(f"{path.with_name('head.json')}: cannot be read; restore it from a backup") from None
    refuse_unless_holds(entries, head, path)


def _write_line(path: Path, line: bytes) -> None:
    """Append one line to the disk, over what an unfinished write may have left; take it off again where that fails."""
    is_new = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        whole = path.read_bytes().rfind(b"\n") + 1
        os.ftruncate(handle, whole)
        try:
            while line:
                line = line[os.write(handle, line) :]
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, whole)
            raise
    finally:
        os.close(handle)
    if is_new:
        sync_folder(path.parent)


def _head(entries: Sequence[Entry]) -> Head:
    return Head(len(entries), entries[-1].hash) if entries else Head()


def _hash(seq: int, kind: str, body: Mapping[str, Any], prev: str) -> str:
    content = {"seq": seq, "kind": kind, "body": dict(body), "prev": prev}
    return hashlib.sha256(_canonical(content).encode()).hexdigest()


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _unusable(path: Path, error: OSError) -> LedgerError:
    return LedgerError(
        f"{path}: cannot be read or written ({error.strerror or type(error).__name__}), so nothing is trained; make its "
        "folder writable and free some space"
    )
