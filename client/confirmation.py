"""Let a steward confirm that a site's ledger is its newest copy, where the second head cannot decide it."""

from collections.abc import Mapping
from typing import Any

from client.site_file import SiteFile
from privacy.entries import Entry, head_of, read
from privacy.ledger import Ledger
from shared.errors import LedgerError


def last_of(file: SiteFile) -> Mapping[str, Any]:
    """Return how far a site's ledger goes, so that the steward can compare it with other sources.

    Parameters
    ----------
    file : SiteFile
        The site's file.

    Returns
    -------
    Mapping[str, Any]
        The number of entries, the last hash, and the last reserved round.

    Raises
    ------
    LedgerError
        The ledger is missing or damaged.
    """
    path = file.ledger / "ledger.jsonl"
    if not path.exists():
        raise LedgerError(f"{path}: is missing, so there is nothing to confirm; restore the ledger's folder from a backup")
    entries = read(path)
    reserved = [entry for entry in entries if entry.kind == "reserve"]
    return {"entries": len(entries), "hash": head_of(entries).hash, "last": _round_of(reserved[-1]) if reserved else None}


def confirm(file: SiteFile) -> None:
    """Rewrite the second head of a site's ledger from the ledger as it is.

    Parameters
    ----------
    file : SiteFile
        The site's file.

    Raises
    ------
    LedgerError
        The ledger is damaged, or lacks entries that its second head has seen.
    """
    last_of(file)
    Ledger(file.ledger, file.site.id).confirm(file.site.ledger_head)


def _round_of(entry: Entry) -> str:
    return f"round {entry.body['round']} of run {entry.body['run_id']}"
