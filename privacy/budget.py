"""What one dataset may still spend at its site: the ledger's events, followed record by record, against a limit."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from privacy.accounting import Accountant, MechanismEvent
from privacy.dp.plan import PrivacyPlan
from privacy.fingerprint import Dataset
from privacy.ledger import Entry, Ledger, read_dataset
from shared.errors import LedgerError
from shared.head import Head
from shared.numbers import delta_up, epsilon_up

Events = tuple[MechanismEvent, ...]


@dataclass(frozen=True)
class Limit:
    """An epsilon that may not be exceeded, at a delta."""

    epsilon: float
    target_delta: float


@dataclass(frozen=True)
class Budget:
    """A dataset's claim on its site's ledger.

    No record may spend more than ``limit``, over all rounds, runs, tasks and trials that the ledger knows. What was spent
    follows the records: a dataset's figure is that of its worst record, over every earlier dataset that shares the record
    or its person. Two datasets without a shared record spend in parallel; ``in_all`` bounds them as if one record were in
    all of them, where a site wants that too.
    """

    ledger: Ledger
    dataset: Dataset = field(repr=False)
    limit: Limit
    in_all: Limit | None = None
    accountant: Accountant = field(default_factory=Accountant, repr=False, compare=False)

    def spent(self, more: Events = ()) -> float:
        """Epsilon of the worst record, after ``more`` events on all of them; infinite where one was used without privacy."""
        return self._worst(self.ledger.entries(), more)

    def spent_in_all(self, more: Events = ()) -> float:
        """Epsilon of the whole site at the delta of ``in_all``, after ``more`` events, as if one record were in all."""
        assert self.in_all is not None  # noqa: S101  asked only where the site bounds it
        return upper_bound(self.ledger.entries(), self.in_all.target_delta, more, self.accountant)

    def refuse_beyond(self, plan: PrivacyPlan) -> None:
        """Refuse a run that the budget cannot pay from its first round to its last, before anything is spent.

        Raises:
            LedgerError: the budget is used up, or would be; or what was spent was counted for another unit.
        """
        self._refuse_other_unit(self.ledger.entries(), plan)
        self._refuse(self.ledger.entries(), plan.events * plan.rounds, f"a run of {plan.rounds} rounds")

    def refuse_rest(self, run_id: str, round_number: int, plan: PrivacyPlan) -> None:
        """Refuse a round whose run the budget cannot pay from there to its end; a round that is reserved is paid for.

        Raises:
            LedgerError: the budget is used up, or would be.
        """
        entries = self.ledger.entries()
        if _reservation(entries, run_id, round_number) is None:
            self._refuse_rest(entries, run_id, round_number, plan)

    def reserve(self, run_id: str, round_number: int, plan: PrivacyPlan | None, server: Head) -> Entry:
        """Reserve a round, on the disk, before its first gradient; a reservation that was not answered is used again.

        A round is reserved only while the budget can pay the run to its end, so that nothing is spent on half a run.

        An open reservation counts as spent, so training again under it after a crash, when nothing had left the site,
        costs nothing more. ``plan`` is None for a round without privacy, which is written down as such.

        Raises:
            LedgerError: the budget is used up, the round was answered before, or the ledger cannot be written.
        """
        with self.ledger.locked():
            entries = self.ledger.entries()
            earlier = _reservation(entries, run_id, round_number)
            if earlier is not None:
                return _unanswered(earlier, entries, plan, self.dataset)
            if plan is not None:
                self._refuse_other_unit(entries, plan)
                self._refuse_rest(entries, run_id, round_number, plan)
            return self.ledger.reserve(
                self.dataset,
                run_id=run_id,
                round=round_number,
                server_entries=server.entries,
                server_hash=server.hash,
                **_mechanism(plan),
            )

    def commit(self, run_id: str, round_number: int) -> Head:
        """Close a round's reservation and return where the ledger ends; closing it again changes nothing.

        Raises:
            LedgerError: nothing was reserved for the round, or the ledger cannot be written.
        """
        with self.ledger.locked():
            entries = self.ledger.entries()
            reservation = _reservation(entries, run_id, round_number)
            if reservation is None:
                raise LedgerError(f"{self.ledger.path}: round {round_number} of run {run_id} was never reserved")
            if not _is_committed(reservation, entries):
                self.ledger.commit(reservation)
        return self.ledger.head()

    def rounds(self, run_id: str) -> tuple[int, ...]:
        """The numbers of the rounds of a run that were reserved, answered or not, in order."""
        reserved = (entry.body for entry in self.ledger.entries() if entry.kind == "reserve")
        return tuple(int(body["round"]) for body in reserved if body["run_id"] == run_id)

    def _refuse_other_unit(self, entries: Sequence[Entry], plan: PrivacyPlan) -> None:
        """Refuse to add up epsilons of records and of persons: neither follows from the other without a factor."""
        for entry in entries:
            other = entry.body.get("unit") if entry.kind == "reserve" else None
            if other not in (None, plan.unit) and not self.dataset.ids.isdisjoint(
                read_dataset(self.ledger.folder, entry.body["dataset"])
            ):
                raise LedgerError(
                    f"{self.ledger.path}: some of these records were used with privacy.unit = '{other}'; an epsilon of a "
                    f"{other} cannot be added to one of a {plan.unit}; keep the unit, or take other records"
                )

    def _refuse_rest(self, entries: Sequence[Entry], run_id: str, round_number: int, plan: PrivacyPlan) -> None:
        left = max(1, plan.rounds - round_number + 1)
        self._refuse(entries, plan.events * left, f"the {left} rounds left of run {run_id}")

    def _refuse(self, entries: Sequence[Entry], more: Events, what: str) -> None:
        self._refuse_in_all(more, what)
        after = self._worst(entries, more)
        if after <= self.limit.epsilon:
            return
        before = self._worst(entries, ())
        if math.isinf(before):
            raise LedgerError(
                f"{self.ledger.path}: some of these records were used without privacy before, so no epsilon can be promised "
                "for them any more; take other records"
            )
        raise LedgerError(
            f"{self.ledger.path}: budget exhausted: some of these records have spent epsilon {epsilon_up(before)} of "
            f"{epsilon_up(self.limit.epsilon)} at delta {delta_up(self.limit.target_delta)}, and {what} would make it "
            f"{epsilon_up(after)}; take other records, or have the limit raised by whoever answers for them"
        )

    def _refuse_in_all(self, more: Events, what: str) -> None:
        total = self.spent_in_all(more) if self.in_all else 0.0
        if self.in_all and total > self.in_all.epsilon:
            raise LedgerError(
                f"{self.ledger.path}: budget exhausted over all datasets of the site: {what} would make it "
                f"{epsilon_up(total)} of {epsilon_up(self.in_all.epsilon)} at delta {delta_up(self.in_all.target_delta)}; "
                "have the limit raised by whoever answers for the site"
            )

    def _worst(self, entries: Sequence[Entry], more: Events) -> float:
        """The largest epsilon of any record, after ``more``."""
        reservations = [entry for entry in entries if entry.kind == "reserve"]
        worst = 0.0
        for touched in self._histories({entry.body["dataset"] for entry in reservations}):
            history = [entry for entry in reservations if entry.body["dataset"] in touched]
            if any(not entry.body["events"] for entry in history):
                return math.inf
            charged = [*(event for entry in history for event in events_of(entry)), *more]
            worst = max(worst, self.accountant.epsilon(charged, self.limit.target_delta))
        return worst

    def _histories(self, names: Iterable[str]) -> set[frozenset[str]]:
        """Which earlier datasets our records were in, record by record; subsets of another history are left out."""
        known = {name: read_dataset(self.ledger.folder, name) for name in names}
        found = {frozenset(name for name, ids in known.items() if not ids.isdisjoint(unit)) for unit in self.dataset.units}
        return {history for history in found if not any(history < other for other in found)}


def upper_bound(
    entries: Sequence[Entry], target_delta: float, more: Events = (), accountant: Accountant | None = None
) -> float:
    """Epsilon if one record had been in every dataset of a ledger: a bound for all of them that needs no data file."""
    history = [entry for entry in entries if entry.kind == "reserve"]
    if any(not entry.body["events"] for entry in history):
        return math.inf
    charged = [*(event for entry in history for event in events_of(entry)), *more]
    return (accountant or Accountant()).epsilon(charged, target_delta)


def _mechanism(plan: PrivacyPlan | None) -> dict[str, Any]:
    """What a reservation says of the mechanism; no events means no privacy."""
    if plan is None:
        return {"unit": None, "relation": None, "target_delta": None, "plan": None, "events": []}
    return {
        "unit": plan.unit,
        "relation": plan.relation,
        "target_delta": plan.target_delta,
        "plan": plan.digest(),
        "events": [asdict(event) for event in plan.events],
    }


def events_of(entry: Entry) -> Events:
    """The mechanism events that a reservation charges; none for a round without privacy."""
    rows: Sequence[Mapping[str, Any]] = entry.body["events"]
    return tuple(MechanismEvent(**row) for row in rows)


def _reservation(entries: Sequence[Entry], run_id: str, round_number: int) -> Entry | None:
    wanted = (run_id, round_number)
    return next((e for e in entries if e.kind == "reserve" and (e.body["run_id"], e.body["round"]) == wanted), None)


def _is_committed(reservation: Entry, entries: Sequence[Entry]) -> bool:
    return any(entry.kind == "commit" and entry.body["reserved"] == reservation.seq for entry in entries)


def _unanswered(earlier: Entry, entries: Sequence[Entry], plan: PrivacyPlan | None, dataset: Dataset) -> Entry:
    """A reservation that may be used again: nothing was answered under it, and it is for the same plan and records."""
    run_id, number = earlier.body["run_id"], earlier.body["round"]
    if _is_committed(earlier, entries):
        raise LedgerError(f"round {number} of run {run_id} was spent and answered before; a round is answered once")
    if earlier.body["plan"] != (plan.digest() if plan else None):
        raise LedgerError(f"round {number} of run {run_id} was reserved for another plan; start a new run")
    if earlier.body["dataset"] != dataset.fingerprint:
        raise LedgerError(f"round {number} of run {run_id} was reserved for other records; start a new run for these")
    return earlier
