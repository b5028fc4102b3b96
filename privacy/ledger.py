"""Keep the ledger of a site: append-only JSON lines, each chained to the one before by SHA-256, on disk before it counts.

The ledger stores mechanism events instead of epsilons, so that anybody can recompute epsilon. Its parts are
``ledger.jsonl``, ``head.json`` (the number of entries on disk and the last hash), the key for record identities, and the
identities of each dataset that an entry names. It opens only if all parts exist and agree, or if none exists.

This detects a single part that was lost, changed or replaced. It cannot detect a whole folder restored from an older backup.
Therefore the site keeps the head a second time outside of the folder (``second_head.py``), and the server keeps it a third
time and sends it with each order, including the first order of a new run. If a site rewrites all of them together with its
server, nobody can detect it.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from privacy.entries import Entry, Kind, chained, head_of, read, read_head, refuse_unless_holds, unusable
from privacy.fingerprint import Dataset, fingerprint, split_ids
from privacy.second_head import SecondHead
from shared.errors import LedgerError
from shared.ops.canonical_json import canonical_json
from shared.ops.disk import replace_file, sync_folder
from shared.wire.chain_head import ChainHead

KEY_BYTES = 32


class Ledger:
    """The ledger in a site's folder, created on first use.

    A new ledger is written in this order: opening entry, head, second head, key. A crash leaves a beginning of this
    sequence. Nothing can have been spent by then, so the next start completes the ledger.

    Raises
    ------
    LedgerError
        The folder cannot be written, the ledger belongs to another site, a part is missing or disagrees with the others, or
        an entry was altered; the message names the part, and the first bad entry.
    """

    def __init__(self, folder: Path, site_id: str, second_head: Path | None = None) -> None:
        self.folder = folder
        self.path = folder / "ledger.jsonl"
        self._site_id = site_id
        self._second = SecondHead(second_head, site_id) if second_head is not None else None
        try:
            (folder / "datasets").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unusable(self.path, error) from error
        with self.locked():
            self.key = self._open()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the ledger against every other process and thread."""
        try:
            handle = (self.folder / "ledger.lock").open("w")
        except OSError as error:
            raise unusable(self.path, error) from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def entries(self) -> tuple[Entry, ...]:
        """Read all entries, verified from the first to the last and against ``head.json``."""
        return read(self.path)

    def head(self) -> ChainHead:
        """Return the length and last hash of the ledger."""
        return head_of(self.entries())

    def reserve(self, dataset: Dataset, **body: Any) -> Entry:
        """Record what is about to be spent on a dataset; it is on disk when this returns. Call under ``locked``.

        Parameters
        ----------
        dataset
            Identities of the records.
        body : Any
            Further fields of the reservation (``entries.FIELDS``).

        Raises
        ------
        LedgerError
            The disk is full or cannot be written; nothing was reserved, so nothing may be trained.
        """
        content = dataset.to_bytes()
        name = fingerprint(content)
        path = self.folder / "datasets" / f"{name}.ids"
        try:
            if not path.exists():
                replace_file(path, content)
        except OSError as error:
            raise unusable(path, error) from error
        return self._append("reserve", {"dataset": name, **body})

    def commit(self, reservation: Entry, reply: str | None = None) -> Entry:
        """Close a reservation. Call under ``locked``. Its budget is spent already, and stays spent if this call fails.

        Parameters
        ----------
        reservation
            The entry to close.
        reply
            Digest of the reply, which a receipt is compared with; None writes none.
        """
        return self._append("commit", {"reserved": reservation.seq, **({} if reply is None else {"reply": reply})})

    def refuse_unless_holds(self, head: ChainHead) -> None:
        """Refuse a ledger that lacks entries which the server has seen.

        Parameters
        ----------
        head
            Length and hash of the ledger when the server last heard of it.

        Raises
        ------
        LedgerError
            The ledger was cut off, replaced, or copied from an older state.
        """
        refuse_unless_holds(self.entries(), head, self.path)

    def confirm(self, second_head: Path) -> None:
        """Accept this ledger as the newest copy, because a person says so, and rewrite its second head.

        Raises
        ------
        LedgerError
            The second head has seen more entries than this ledger has, or another ledger; that cannot be confirmed.
        """
        second = SecondHead(second_head, self._site_id)
        with self.locked():
            entries = self.entries()
            second.refuse_old_ledger(entries, self.path)
            second.write(head_of(entries))

    def _open(self) -> bytes:
        """Check that all parts exist, or create them if none exists; return the key for record identities."""
        if not self.path.exists() or not chained(self.path):
            self._refuse_remains()
            self._append("open", {"site_id": self._site_id, "ledger_id": secrets.token_hex(16)})
        entries = self.entries()
        self._refuse_other_site(entries[0])
        key = self.folder / "fingerprint.key"
        new = len(entries) == 1 and not key.exists() and not self._remains("datasets/*.ids")
        if not new:
            refuse_missing_parts(self.folder, entries)
        self._catch_up(entries)
        try:
            if new:
                replace_file(key, secrets.token_bytes(KEY_BYTES))
            return key.read_bytes()
        except OSError as error:
            raise unusable(key, error) from error

    def _remains(self, *patterns: str) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for pattern in patterns for path in self.folder.glob(pattern))

    def _refuse_remains(self) -> None:
        """Refuse to start a new ledger where an earlier one has left parts."""
        found = self._remains("head.json", "fingerprint.key", "datasets/*.ids")
        if found:
            raise LedgerError(
                f"{self.path}: is missing, but {found[0]} of the ledger still exists; restore the ledger's folder from its "
                "newest backup"
            )
        if self._second is not None:
            self._second.refuse_gone(self.path)

    def _append(self, kind: Kind, body: Mapping[str, Any]) -> Entry:
        """Add an entry: first to the disk, then to ``head.json``, then to the second head.

        A failed write raises an error; an entry that reached the disk nevertheless counts. Both heads are first brought up
        to the entry before, so that neither is ever more than one entry behind.
        """
        entries = () if kind == "open" else self.entries()
        entry = Entry.after(head_of(entries), kind, body)
        if entries:
            self._catch_up(entries)
        try:
            _write_line(self.path, entry.line())
        except OSError as error:
            raise unusable(self.path, error) from error
        self._catch_up((*entries, entry))
        return entry

    def _catch_up(self, entries: tuple[Entry, ...]) -> None:
        """Update ``head.json`` and the second head to the end of the entries."""
        path, end = self.path.with_name("head.json"), head_of(entries)
        if read_head(path) != end:
            try:
                replace_file(path, canonical_json({"entries": end.entries, "hash": end.hash}).encode())
            except OSError as error:
                raise unusable(path, error) from error
        if self._second is not None:
            self._second.catch_up(entries, self.path)

    def _refuse_other_site(self, first: Entry) -> None:
        owner = first.body["site_id"]
        if owner != self._site_id:
            raise LedgerError(
                f"{self.path}: is the ledger of site {owner}, not of {self._site_id}; give each site a folder of its own"
            )


def refuse_missing_parts(folder: Path, entries: Sequence[Entry]) -> None:
    """Refuse a ledger without its head, its key, or the identities of a dataset that it names.

    Raises
    ------
    LedgerError
        A part is missing or altered; the message names its file.
    """
    head, key = folder / "head.json", folder / "fingerprint.key"
    if read_head(head) is None:
        raise LedgerError(f"{head}: is missing; restore the ledger's folder from its newest backup")
    if not key.is_file() or key.stat().st_size != KEY_BYTES:
        raise LedgerError(
            f"{key}: is missing or not a fingerprint key; restore it, because without it used records are not recognised"
        )
    for name in {str(entry.body["dataset"]) for entry in entries if entry.kind == "reserve"}:
        read_dataset(folder, name)


def read_dataset(folder: Path, name: str) -> frozenset[bytes]:
    """Read the identities of a dataset that a ledger entry names.

    Parameters
    ----------
    folder
        Folder of the ledger.
    name
        Fingerprint of the dataset.

    Raises
    ------
    LedgerError
        The file of the identities is missing or altered.
    """
    path = folder / "datasets" / f"{name}.ids"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unusable(path, error) from error
    if fingerprint(content) != name:
        raise LedgerError(
            f"{path}: altered, its content does not match the fingerprint in its name; restore it from a backup"
        )
    return split_ids(content)


def _write_line(path: Path, line: bytes) -> None:
    """Append one line to the disk, replacing an unfinished line; remove the new line again if the write fails."""
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
