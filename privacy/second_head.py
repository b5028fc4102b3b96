"""Keep a second copy of the ledger's length and last hash outside of the ledger's folder.

A ledger cannot show by itself that it is its newest copy: a folder restored from an older backup is complete and in order.
So the site keeps the head of the ledger a second time, in a place that is not restored together with it. If both are
restored from backups of the same moment, only the head at the server reveals it; if that is lost too, nothing does.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from privacy.entries import Entry, head_of, holds, unusable
from shared.errors import LedgerError
from shared.ops.canonical_json import canonical_json
from shared.ops.disk import replace_file
from shared.wire.chain_head import ChainHead

CONFIRM = "run 'hushtune ledger confirm SITE.toml'"


class SecondHead:
    """A file with the head of one site's ledger, rewritten after each entry."""

    def __init__(self, path: Path, site_id: str) -> None:
        self.path = path
        self._site_id = site_id

    def head(self) -> ChainHead | None:
        """Read the head from the file; None if the file does not exist.

        Raises
        ------
        LedgerError
            The file cannot be read or belongs to another site.
        """
        try:
            plain = json.loads(self.path.read_bytes())
            owner, head = str(plain["site_id"]), ChainHead(int(plain["entries"]), str(plain["hash"]))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unusable(self.path, error) from error
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            raise LedgerError(
                f"{self.path}: is not a copy of a ledger's head; restore it, or remove it and, if the ledger is the newest "
                f"copy, {CONFIRM}"
            ) from None
        if owner != self._site_id:
            raise LedgerError(
                f"{self.path}: is the head of the ledger of site {owner}, not of {self._site_id}; set site.ledger_head to a "
                "file of this site's own"
            )
        return head

    def write(self, head: ChainHead) -> None:
        """Write the head; it is on disk when this returns.

        Raises
        ------
        LedgerError
            The file cannot be written; the earlier content stays.
        """
        content = canonical_json({"site_id": self._site_id, "entries": head.entries, "hash": head.hash})
        try:
            replace_file(self.path, content.encode())
        except OSError as error:
            raise unusable(self.path, error) from error

    def refuse_gone(self, ledger: Path) -> None:
        """Refuse to start a new ledger if this file knows an earlier one.

        Parameters
        ----------
        ledger
            File of the ledger, for the message.

        Raises
        ------
        LedgerError
            This file exists.
        """
        head = self.head()
        if head is not None:
            raise LedgerError(
                f"{ledger}: is missing, but {self.path} has seen its entry {head.entries - 1}; restore the ledger's folder "
                "from its newest backup"
            )

    def catch_up(self, entries: Sequence[Entry], ledger: Path) -> None:
        """Update the file to the end of the ledger if a crash left it one entry behind; refuse any other difference.

        A ledger with only its opening entry has spent nothing, so this file may be missing and is then created.

        Parameters
        ----------
        entries
            Entries of the ledger.
        ledger
            File of the ledger, for the message.

        Raises
        ------
        LedgerError
            The ledger or this file is an old copy, or this file is missing; the message says which, and the remedy.
        """
        head, end = self.head(), head_of(entries)
        if head is None and end.entries > 1:
            raise LedgerError(
                f"{self.path}: is missing, but the ledger {ledger} ends at entry {end.entries - 1}; restore the file, or if "
                f"that ledger is the newest copy, {CONFIRM}"
            )
        self.refuse_old_ledger(entries, ledger)
        if head is not None and head.entries < end.entries - 1:
            raise LedgerError(
                f"{self.path}: is an old copy that ends at entry {head.entries - 1}, but the ledger {ledger} ends at entry "
                f"{end.entries - 1}; if that ledger is the newest copy, {CONFIRM}"
            )
        if head != end:
            self.write(end)

    def refuse_old_ledger(self, entries: Sequence[Entry], ledger: Path) -> None:
        """Refuse a ledger that lacks entries which this file has seen.

        Parameters
        ----------
        entries
            Entries of the ledger.
        ledger
            File of the ledger, for the message.

        Raises
        ------
        LedgerError
            The ledger ends earlier, or has another entry at that place.
        """
        head = self.head()
        if head is None or holds(entries, head):
            return
        if head.entries > len(entries):
            raise LedgerError(
                f"{ledger}: is an old copy that ends at entry {len(entries) - 1}, but {self.path} has seen entry "
                f"{head.entries - 1}; restore the newest copy of the ledger's folder"
            )
        raise LedgerError(
            f"{ledger}: entry {head.entries - 1} differs from the one that {self.path} has seen, so one of the two files "
            "belongs to another ledger; restore the two that belong together"
        )
