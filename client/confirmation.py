"""Let a steward confirm that a site's ledger is its newest copy, if the second copy of its head is lost or out of date."""

from collections.abc import Mapping
from typing import Any

from client.site_file import SiteFile
from privacy.entries import Entry, head_of, read
from privacy.ledger import Ledger
from shared.errors import LedgerError


def ledger_end(file: SiteFile) -> Mapping[str, Any]:
    """Return where a site's ledger ends, so that the steward can compare this with other sources.

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
    """Rewrite the second copy of the chain head from the ledger on disk.

    Raises
    ------
    LedgerError
        The ledger is damaged, or lacks entries that the second copy of its head has recorded.
    """
    ledger_end(file)  # raises if the ledger is missing or damaged
    Ledger(file.ledger, file.site.id).confirm(file.site.ledger_head)


def _round_of(entry: Entry) -> str:
    return f"round {entry.body['round']} of run {entry.body['run_id']}"
