"""The second copy of where a site's ledger ends, kept outside of the ledger's folder.

A ledger cannot show from itself that it is the newest copy of itself: a folder that came back from an older backup is whole
and in order. So the site keeps the ledger's head a second time, in a place that is not restored together with it. Where
both come back from backups of one moment, only the head that the server kept tells; where that is lost too, nothing does.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from privacy.entries import Entry, canonical, head_of, holds, unusable
from shared.errors import LedgerError
from shared.ops.disk import replace_file
from shared.wire.chain_head import Head

CONFIRM = "run 'hushtune ledger confirm SITE.toml'"


class Witness:
    """A file with the head of one site's ledger, written after each entry."""

    def __init__(self, path: Path, site_id: str) -> None:
        self.path = path
        self._site_id = site_id

    def head(self) -> Head | None:
        """Return the head in the file, or None where there is no file.

        Raises
        ------
        LedgerError
            The file cannot be read, or is of another site.
        """
        try:
            plain = json.loads(self.path.read_bytes())
            owner, head = str(plain["site_id"]), Head(int(plain["entries"]), str(plain["hash"]))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unusable(self.path, error) from error
        except (ValueError, TypeError, KeyError):
            raise LedgerError(
                f"{self.path}: is no copy of a ledger's head; restore it, or take it away, and if the ledger is the newest "
                f"one, {CONFIRM}"
            ) from None
        if owner != self._site_id:
            raise LedgerError(
                f"{self.path}: is the head of the ledger of site {owner}, not of {self._site_id}; set site.ledger_head to a "
                "file of this site's own"
            )
        return head

    def write(self, head: Head) -> None:
        """Write the head, on the disk when this returns.

        Raises
        ------
        LedgerError
            The file cannot be written; the one that was there before still is.
        """
        content = canonical({"site_id": self._site_id, "entries": head.entries, "hash": head.hash})
        try:
            replace_file(self.path, content.encode())
        except OSError as error:
            raise unusable(self.path, error) from error

    def refuse_gone(self, ledger: Path) -> None:
        """Refuse to begin a ledger where this file knows of one.

        Raises
        ------
        LedgerError
            It does.
        """
        head = self.head()
        if head is not None:
            raise LedgerError(
                f"{ledger}: is gone, and {self.path} has seen its entry {head.entries - 1}; restore the ledger's folder "
                "from its newest backup"
            )

    def catch_up(self, entries: Sequence[Entry], ledger: Path) -> None:
        """Bring the file to the end of the ledger where a crash left it one entry behind, and refuse any other difference.

        A ledger that holds its opening entry alone has spent nothing, so it may be without this file, which is then made.

        Raises
        ------
        LedgerError
            The ledger or this file is an old copy, or this file is missing; the message says which, and what to do.
        """
        head, end = self.head(), head_of(entries)
        if head is None and end.entries > 1:
            raise LedgerError(
                f"{self.path}: is missing, and the ledger {ledger} goes to entry {end.entries - 1}; put the file back, or "
                f"if that ledger is the newest one, {CONFIRM}"
            )
        self.refuse_old_ledger(entries, ledger)
        if head is not None and head.entries < end.entries - 1:
            raise LedgerError(
                f"{self.path}: is the old copy, it ends at entry {head.entries - 1} and the ledger {ledger} at entry "
                f"{end.entries - 1}; if that ledger is the newest one, {CONFIRM}"
            )
        if head != end:
            self.write(end)

    def refuse_old_ledger(self, entries: Sequence[Entry], ledger: Path) -> None:
        """Refuse a ledger that does not hold what this file has seen of it.

        Raises
        ------
        LedgerError
            It ends before, or goes another way.
        """
        head = self.head()
        if head is None or holds(entries, head):
            return
        if head.entries > len(entries):
            raise LedgerError(
                f"{ledger}: is the old copy, it ends at entry {len(entries) - 1} and {self.path} has seen entry "
                f"{head.entries - 1}; restore the newest copy of the ledger's folder"
            )
        raise LedgerError(
            f"{ledger}: entry {head.entries - 1} is not the one that {self.path} has seen, so one of the two belongs to "
            "another ledger; put back the two that belong together"
        )
