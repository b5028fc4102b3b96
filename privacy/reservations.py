"""Find the reservation of a round in a ledger, and decide whether the round may be trained under it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from privacy.entries import Entry
from privacy.fingerprint import Dataset
from shared.errors import LedgerError

if TYPE_CHECKING:  # it imports torch, which reading a ledger does not need
    from privacy.dp.plan import PrivacyPlan


def mechanism_of(plan: "PrivacyPlan | None") -> dict[str, Any]:
    """Return the fields of a reservation that describe the mechanism; without privacy the list of events is empty."""
    if plan is None:
        return {"unit": None, "relation": None, "target_delta": None, "plan": None, "rounds": None, "events": []}
    return {
        "unit": plan.unit,
        "relation": plan.relation,
        "target_delta": plan.target_delta,
        "plan": plan.digest(),
        "rounds": plan.rounds,
        "events": [asdict(event) for event in plan.events],
    }


def reservation_of(entries: Sequence[Entry], run_id: str, round_number: int, attempt: str | None = None) -> Entry | None:
    """Return the reservation of a round, or of an attempt at it; None if there is none."""
    wanted, reserved = (run_id, round_number, attempt), (entry for entry in entries if entry.kind == "reserve")
    return next((e for e in reserved if (e.body["run_id"], e.body["round"], e.body.get("attempt")) == wanted), None)


def attempts_reserved(entries: Sequence[Entry], run_id: str, plan: "PrivacyPlan") -> int:
    """Count the reserved attempts at secure sums of a run, successful or not."""
    digest = plan.digest()
    return sum(e.kind == "reserve" and (e.body["run_id"], e.body["plan"]) == (run_id, digest) for e in entries)


def is_committed(reservation: Entry, entries: Sequence[Entry], reply: str | None = None) -> bool:
    """Return whether a reservation was closed, and if a reply is given, whether for this one."""
    closed = [e.body.get("reply") for e in entries if e.kind == "commit" and e.body["reserved"] == reservation.seq]
    return bool(closed) if reply is None else reply in closed


def unanswered(
    earlier: Entry, entries: Sequence[Entry], plan: "PrivacyPlan | None", dataset: Dataset, start: str | None = None
) -> Entry:
    """Return an earlier reservation for reuse; refuse if it was answered, or has another plan, records or start.

    Also refuse if a later round of the run was reserved: that round may have started from the optimiser's state of the
    attempt that failed, so the noised sums of that attempt have left already.
    """
    run_id, number = earlier.body["run_id"], earlier.body["round"]
    if is_committed(earlier, entries):
        raise LedgerError(f"round {number} of run {run_id} was trained and answered before; a round is answered only once")
    if any(e.kind == "reserve" and e.body["run_id"] == run_id and e.body["round"] > number for e in entries):
        raise LedgerError(
            f"round {number} of run {run_id} was reserved, and a later round may have used what it computed; it stays spent "
            "and is not trained again"
        )
    if earlier.body["plan"] != (plan.digest() if plan else None):
        raise LedgerError(f"round {number} of run {run_id} was reserved for another plan; start a new run")
    if earlier.body["dataset"] != dataset.fingerprint:
        raise LedgerError(f"round {number} of run {run_id} was reserved for other records; start a new run for these")
    if earlier.body.get("start", start) != start:
        raise LedgerError(f"round {number} of run {run_id} was reserved for another adapter to start from; start a new run")
    return earlier
