"""Read a ledger as a statement: what was spent, on which datasets and in which runs; and verify that it is complete."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from privacy.accounting import Accountant
from privacy.entries import Entry, read, refuse_unless_holds
from privacy.ledger import read_dataset, refuse_missing_parts
from privacy.reservations import is_committed
from privacy.spending import events_of, parts_of, spent
from shared.errors import LedgerError
from shared.wire.chain_head import ChainHead


def statement(folder: Path, target_delta: float | None = None) -> dict[str, Any]:
    """Return all reservations of a ledger with their events, and epsilon by dataset and for a record in all datasets.

    ``epsilon`` counts against a limit: a single run by its plan, several by the filter for adaptive choice.
    ``if_planned_together`` composes the same events as if all plans had been fixed in advance, which gives a smaller figure.
    Infinite epsilons, of rounds without privacy, are None, because JSON has no infinity.

    Parameters
    ----------
    folder
        Folder of the ledger.
    target_delta
        Delta for all figures; None takes the smallest delta in the ledger.

    Raises
    ------
    LedgerError
        The ledger cannot be read or was altered.
    """
    entries = read(folder / "ledger.jsonl")
    reserved = [entry for entry in entries if entry.kind == "reserve"]
    deltas = [float(entry.body["target_delta"]) for entry in reserved if entry.body["target_delta"]]
    delta = target_delta or min(deltas, default=1e-5)
    accountant = Accountant()
    names = list(dict.fromkeys(str(entry.body["dataset"]) for entry in reserved))
    return {
        "site_id": entries[0].body["site_id"] if entries else None,
        "entries": len(entries),
        "hash": entries[-1].hash if entries else "",
        "target_delta": delta,
        "relation": "add or remove one unit",
        "reservations": [_row(entry, entries) for entry in reserved],
        "datasets": [_dataset(folder, name, reserved, delta, accountant) for name in names],
        "in_all": _epsilons(entries, delta, accountant),
    }


def verify(folder: Path, against: Path | None = None) -> dict[str, Any]:
    """Verify the hash chain, that no part of the ledger is missing, and that it contains every head that a server reported.

    Parameters
    ----------
    folder
        Folder of the ledger.
    against
        Folder of a run, or its report.json, whose ledger heads are checked; None checks none.

    Raises
    ------
    LedgerError
        Names the first problem, with the number of the entry.
    """
    path = folder / "ledger.jsonl"
    entries = read(path)
    refuse_missing_parts(folder, entries)
    heads = reported_heads(against, str(entries[0].body["site_id"])) if against and entries else []
    for head in heads:
        refuse_unless_holds(entries, head, path)
    return {"entries": len(entries), "hash": entries[-1].hash if entries else "", "heads_checked": len(heads)}


def _row(entry: Entry, entries: Sequence[Entry]) -> dict[str, Any]:
    kept = ("run_id", "round", "dataset", "unit", "relation", "target_delta", "plan", "events")
    return {"entry": entry.seq, "answered": is_committed(entry, entries), **{name: entry.body[name] for name in kept}}


def _dataset(folder: Path, name: str, reserved: Sequence[Entry], delta: float, accountant: Accountant) -> dict[str, Any]:
    """Return an upper bound of what the records of a dataset spent, over every dataset that shares a record with it."""
    ids = read_dataset(folder, name)
    touching = [entry for entry in reserved if not ids.isdisjoint(read_dataset(folder, entry.body["dataset"]))]
    return {
        "dataset": name,
        "identities": len(ids),
        "rounds": sum(entry.body["dataset"] == name for entry in reserved),
        "events": [asdict(event) for entry in touching for event in events_of(entry)],
        **_epsilons(touching, delta, accountant),
    }


def _epsilons(entries: Sequence[Entry], delta: float, accountant: Accountant) -> dict[str, Any]:
    """Return both epsilons of a record in all of these reservations, and the rule for the one that counts."""
    parts = parts_of(entries)
    counted = spent(parts, delta, accountant)
    together = accountant.epsilon([event for part in parts for event in part.events], delta)
    return {
        "epsilon": _finite(counted.epsilon),
        "counted_by": counted.counted_by,
        "if_planned_together": None if math.isinf(counted.epsilon) else together,
    }


def _finite(amount: float) -> float | None:
    return None if math.isinf(amount) else amount


def reported_rounds(path: Path) -> tuple[str, Sequence[Mapping[str, Any]]]:
    """Return the run's id and the rounds in a run's report.

    Parameters
    ----------
    path
        Folder of a run, or its report.json.

    Raises
    ------
    LedgerError
        The file is not a report of a run.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        return str(report.get("run_id", "")), [dict(done) for done in report["rounds"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise _unreadable(file) from None


def reported_heads(path: Path, site_id: str) -> list[ChainHead]:
    """Return the heads of a site's ledger in a run's report, round by round.

    Parameters
    ----------
    path
        Folder of a run, or its report.json.
    site_id
        Name of the site.

    Raises
    ------
    LedgerError
        The file is not a report of a run.
    """
    _, rounds = reported_rounds(path)
    try:
        rows = [done["ledgers"][site_id] for done in rounds if site_id in done["ledgers"]]
        return [ChainHead(int(row["entries"]), str(row["hash"])) for row in rows]
    except (ValueError, KeyError, TypeError):
        raise _unreadable(path) from None


def _unreadable(path: Path) -> LedgerError:
    return LedgerError(f"{path}: not a readable report of a run; give the run's folder or its report.json")
