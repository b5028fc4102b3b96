"""A site's budget book: append-only JSON lines, each chained to the one before by SHA-256, on the disk before it counts.

It holds mechanism events, not epsilons: those are recomputed from it, here or by anybody. Its parts are ``ledger.jsonl``,
``head.json``, which says how many entries were on the disk, the key of record identities, and the identities of each
dataset that an entry names. It opens only where all of them are there and agree, or none of them is.

That shows a part that was lost, changed or put back alone. It does not show a whole folder that was put back: for that the
head is kept a second time outside (``witness.py``), and a third time by the server, which sends it with each order, also
with the first one of a new run. A site that rewrites all three of them together with its server is found out by nobody.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from privacy.entries import Entry, Kind, canonical, chained, head_of, read, read_head, refuse_unless_holds, unusable
from privacy.fingerprint import Dataset, fingerprint, split_ids
from privacy.second_head import Witness
from shared.errors import LedgerError
from shared.ops.disk import replace_file, sync_folder
from shared.wire.chain_head import Head

KEY_BYTES = 32


class Ledger:
    """The ledger in a site's folder, made on first use; ``second_head`` is where its head is kept again, if anywhere.

    A new ledger is written in the order opening entry, head, second head, key. A crash in between leaves the opening entry
    without what follows it in this order, and nothing else; nothing can have been spent then, so it is completed.

    Raises:
        LedgerError: the folder cannot be written, the ledger is of another site, a part of it is missing or disagrees with
            the others, or it was altered; the message names the part, and of the entries the first bad one.
    """

    def __init__(self, folder: Path, site_id: str, second_head: Path | None = None) -> None:
        self.folder = folder
        self.path = folder / "ledger.jsonl"
        self._site_id = site_id
        self._witness = Witness(second_head, site_id) if second_head is not None else None
        try:
            (folder / "datasets").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unusable(self.path, error) from error
        with self.locked():
            self.key = self._open()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the ledger against every other process and thread."""
        try:
            handle = (self.folder / "ledger.lock").open("w")
        except OSError as error:
            raise unusable(self.path, error) from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def entries(self) -> tuple[Entry, ...]:
        """All entries, verified from the first to the last and against ``head.json``."""
        return read(self.path)

    def head(self) -> Head:
        """Where the ledger ends."""
        return head_of(self.entries())

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
            raise unusable(path, error) from error
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

    def confirm(self, second_head: Path) -> None:
        """Take this ledger for the newest one, on a person's word, and write its second head anew.

        Raises:
            LedgerError: the second head has seen more of the ledger than there is, or another ledger; no word helps there.
        """
        witness = Witness(second_head, self._site_id)
        with self.locked():
            entries = self.entries()
            witness.refuse_old_ledger(entries, self.path)
            witness.write(head_of(entries))

    def _open(self) -> bytes:
        """Check that all parts are there, or make them where none is; returns the key of record identities."""
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
        """Refuse to begin a ledger where there was one."""
        found = self._remains("head.json", "fingerprint.key", "datasets/*.ids")
        if found:
            raise LedgerError(
                f"{self.path}: is gone, but {found[0]} of the ledger is still there; restore the ledger's folder from its "
                "newest backup"
            )
        if self._witness is not None:
            self._witness.refuse_gone(self.path)

    def _append(self, kind: Kind, body: Mapping[str, Any]) -> Entry:
        """Add an entry: to the disk, then into ``head.json``, then into the second head. What cannot be written raises; an
        entry that reached the disk all the same counts. Both heads are brought to the entry before first, so that neither
        is ever more than one behind."""
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
        """Bring ``head.json`` and the second head to the end of the entries."""
        path, end = self.path.with_name("head.json"), head_of(entries)
        if read_head(path) != end:
            try:
                replace_file(path, canonical({"entries": end.entries, "hash": end.hash}).encode())
            except OSError as error:
                raise unusable(path, error) from error
        if self._witness is not None:
            self._witness.catch_up(entries, self.path)

    def _refuse_other_site(self, first: Entry) -> None:
        owner = first.body["site_id"]
        if owner != self._site_id:
            raise LedgerError(
                f"{self.path}: is the ledger of site {owner}, not of {self._site_id}; give each site a folder of its own"
            )


def refuse_missing_parts(folder: Path, entries: Sequence[Entry]) -> None:
    """Refuse a ledger without its head, its key, or the identities of a dataset that it names.

    Raises:
        LedgerError: a part is missing or altered; the message names its file.
    """
    head, key = folder / "head.json", folder / "fingerprint.key"
    if read_head(head) is None:
        raise LedgerError(f"{head}: is missing; restore the ledger's folder from its newest backup")
    if not key.is_file() or key.stat().st_size != KEY_BYTES:
        raise LedgerError(
            f"{key}: is missing or no fingerprint key; restore it, or records that were used before are not known again"
        )
    for name in {str(entry.body["dataset"]) for entry in entries if entry.kind == "reserve"}:
        read_dataset(folder, name)


def read_dataset(folder: Path, name: str) -> frozenset[bytes]:
    """The identities of a dataset that an entry of the ledger in ``folder`` names.

    Raises:
        LedgerError: its file is missing or altered.
    """
    path = folder / "datasets" / f"{name}.ids"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unusable(path, error) from error
    if fingerprint(content) != name:
        raise LedgerError(f"{path}: altered, it does not have the fingerprint of its name; restore it from a backup")
    return split_ids(content)


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
