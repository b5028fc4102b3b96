"""A steward's word that a site's ledger is the newest copy of itself, where its second head cannot tell."""

from collections.abc import Mapping
from typing import Any

from client.site_file import SiteFile
from privacy.entries import Entry, head_of, read
from privacy.ledger import Ledger
from shared.errors import LedgerError


def last_of(file: SiteFile) -> Mapping[str, Any]:
    """Return how far a site's ledger goes, for the steward to compare with what is known elsewhere.

    Raises
    ------
    LedgerError
        There is no ledger, or it is damaged.
    """
    path = file.ledger / "ledger.jsonl"
    if not path.exists():
        raise LedgerError(f"{path}: is missing, so there is nothing to confirm; restore the ledger's folder from a backup")
    entries = read(path)
    reserved = [entry for entry in entries if entry.kind == "reserve"]
    return {"entries": len(entries), "hash": head_of(entries).hash, "last": _round_of(reserved[-1]) if reserved else None}


def confirm(file: SiteFile) -> None:
    """Write the second head of a site's ledger anew, from the ledger as it is.

    Raises
    ------
    LedgerError
        The ledger is damaged, or lacks what its second head has seen.
    """
    last_of(file)
    Ledger(file.ledger, file.site.id).confirm(file.site.ledger_head)


def _round_of(entry: Entry) -> str:
    return f"round {entry.body['round']} of run {entry.body['run_id']}"
