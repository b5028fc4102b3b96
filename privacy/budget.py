"""Compare the epsilon that each record of a dataset has spent, by its site's ledger, with the site's limit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from privacy.accounting import Accountant
from privacy.dp.plan import PrivacyPlan
from privacy.entries import Entry
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger, read_dataset
from privacy.reservations import attempts_reserved, is_committed, mechanism_of, reservation_of, unanswered
from privacy.spending import Part, Spent, parts_of, spent, spent_after
from shared.errors import LedgerError
from shared.ops.numbers import delta_up, epsilon_up
from shared.wire.chain_head import ChainHead

A_RUN_TO_COME = ""  # in place of the id of a run that has none yet; no run in the ledger has this id


@dataclass(frozen=True)
class Limit:
    """An epsilon that must not be exceeded, at a delta."""

    epsilon: float
    target_delta: float

    def __str__(self) -> str:
        """Return the limit as text for a message: ``8 at delta 1e-5``."""
        return f"{epsilon_up(self.epsilon)} at delta {delta_up(self.target_delta)}"


@dataclass(frozen=True)
class Budget:
    """The privacy budget of one dataset, kept in the ledger of its site.

    No record may spend more than ``limit`` over all rounds, runs, tasks and trials in the ledger. Spending follows the
    records: the figure of a dataset is that of its worst record, counted over every earlier dataset that shares the record
    or its person. Two datasets without a common record spend in parallel. ``in_all``, if set, bounds all datasets of the
    site together, as if one record were in all of them.

    A single run is counted by its plan, two or more runs by the filter for adaptive choice (``spending.py``). For each unit,
    everything ever released under the limit is together (epsilon, delta) private, even if each run was chosen after the
    results of the runs before. A refusal is not covered by this guarantee: it may reveal that some record was used before.

    Attributes
    ----------
    ledger
        Ledger of the site.
    dataset
        Identities of the records.
    limit
        Epsilon and delta for every record.
    in_all
        Epsilon and delta for the whole site, or None.
    accountant
        Cache of privacy losses.
    """

    ledger: Ledger
    dataset: Dataset = field(repr=False)
    limit: Limit
    in_all: Limit | None = None
    accountant: Accountant = field(default_factory=Accountant, repr=False, compare=False)

    def spent(self) -> Spent:
        """Return epsilon of the worst record, as the limit counts it; infinite if one record was used without privacy."""
        histories = (parts_of(entries) for entries in self._histories(self.ledger.entries()))
        figures = [spent(parts, self.limit.target_delta, self.accountant) for parts in histories]
        return max(figures, key=lambda figure: figure.epsilon)

    def spent_in_all(self) -> Spent:
        """Return epsilon of the whole site at the delta of ``in_all``, as if one record were in all datasets."""
        assert self.in_all is not None  # noqa: S101  callers check that the site sets it
        return spent(parts_of(self.ledger.entries()), self.in_all.target_delta, self.accountant)

    def refuse_beyond(self, plan: PrivacyPlan, more: int = 0) -> None:
        """Refuse a run unless the budget can pay all of its rounds; call it before anything is spent.

        Parameters
        ----------
        plan
            Privacy plan of the run.
        more
            Further rounds that may follow after its last one.

        Raises
        ------
        LedgerError
            The budget is or would be used up, or earlier runs used another privacy unit.
        """
        entries = self.ledger.entries()
        self._refuse_other_unit(entries, plan)
        rounds = plan.rounds + more
        self._refuse(entries, Part.to_come(A_RUN_TO_COME, plan, rounds), f"a run of {rounds} rounds")

    def refuse_rest(self, run_id: str, round_number: int, plan: PrivacyPlan) -> None:
        """Refuse a round unless the budget can pay from this round to the end of the run.

        A round that is already reserved passes, because it is charged already. Under trust ``distributed`` each attempt at a
        round is charged, so a round that is reserved is checked like any other.

        Parameters
        ----------
        run_id
            Id of the run.
        round_number
            Number of the round, from 1.
        plan
            Privacy plan of the run.

        Raises
        ------
        LedgerError
            The budget is or would be used up.
        """
        entries = self.ledger.entries()
        if plan.shared is not None or reservation_of(entries, run_id, round_number) is None:
            self._refuse_rest(entries, run_id, round_number, plan)

    def reserve(
        self,
        run_id: str,
        round_number: int,
        plan: PrivacyPlan | None,
        server: ChainHead,
        attempt: str | None = None,
        start: str | None = None,
    ) -> Entry:
        """Reserve a round in the ledger, on the disk, before its first gradient.

        A round is reserved only if the budget can pay the run to its end, so that nothing is spent on half a run. An open
        reservation counts as spent. After a crash the site may train again under it at no further cost, because nothing had
        left the site, unless a later round of the run was reserved since.

        Parameters
        ----------
        run_id
            Id of the run.
        round_number
            Number of the round, from 1.
        plan
            Privacy plan of the run; None for a round without privacy, which the ledger records as such.
        server
            End of the server's chain of committed rounds.
        attempt
            Name of the attempt at a secure sum, each of which is charged and none of which is tried again: a site that
            crashed has lost the key of the attempt, and cannot know whether its vector left. None for other rounds.
        start
            Digest of the adapter that the round starts from, for a receipt; None where the published digest is another.

        Returns
        -------
        Entry
            The new reservation, or the earlier one of this round if it was not answered.

        Raises
        ------
        LedgerError
            The budget is used up, the round was answered before, or the ledger cannot be written.
        """
        with self.ledger.locked():
            entries = self.ledger.entries()
            earlier = reservation_of(entries, run_id, round_number, attempt)
            if earlier is not None and attempt is not None:
                raise LedgerError(
                    f"an attempt at round {round_number} of run {run_id} was reserved before and stays spent; start another"
                )
            if earlier is not None:
                return unanswered(earlier, entries, plan, self.dataset, start)
            if plan is not None:
                self._refuse_other_unit(entries, plan)
                self._refuse_rest(entries, run_id, round_number, plan)
            return self.ledger.reserve(
                self.dataset,
                run_id=run_id,
                round=round_number,
                server_entries=server.entries,
                server_hash=server.hash,
                **({} if attempt is None else {"attempt": attempt}),
                **({} if start is None else {"start": start}),
                **mechanism_of(plan),
            )

    def commit(self, run_id: str, round_number: int, attempt: str | None = None, reply: str | None = None) -> ChainHead:
        """Close the reservation of a round; closing it again for the same reply changes nothing.

        A delta that leaves under other masks in a second attempt at a secure sum is another reply: its digest is added, so
        that a receipt finds it, and nothing is charged.

        Parameters
        ----------
        run_id
            Id of the run.
        round_number
            Number of the round, from 1.
        attempt
            Name of the attempt at a secure sum; None for other rounds.
        reply
            Digest of the reply that is about to leave, 64 hexadecimal digits; None where none leaves.

        Returns
        -------
        ChainHead
            The end of the ledger.

        Raises
        ------
        LedgerError
            The round was never reserved, or the ledger cannot be written.
        """
        with self.ledger.locked():
            entries = self.ledger.entries()
            reservation = reservation_of(entries, run_id, round_number, attempt)
            if reservation is None:
                raise LedgerError(f"{self.ledger.path}: round {round_number} of run {run_id} was never reserved")
            if not is_committed(reservation, entries, reply):
                self.ledger.commit(reservation, reply)
        return self.ledger.head()

    def is_answered(self, run_id: str, round_number: int, reply: str | None = None) -> bool:
        """Return whether a round was reserved and its result was made final, so that it is never trained again.

        Parameters
        ----------
        run_id
            Id of the run.
        round_number
            Number of the round, from 1.
        reply
            Digest of a result, to ask whether this one was made final; None asks whether any was.
        """
        entries = self.ledger.entries()
        reservation = reservation_of(entries, run_id, round_number)
        return reservation is not None and is_committed(reservation, entries, reply)

    def rounds(self, run_id: str) -> tuple[int, ...]:
        """Return the numbers of all reserved rounds of a run, answered or not, in the order of the ledger."""
        reserved = (entry.body for entry in self.ledger.entries() if entry.kind == "reserve")
        return tuple(int(body["round"]) for body in reserved if body["run_id"] == run_id)

    def _refuse_other_unit(self, entries: Sequence[Entry], plan: PrivacyPlan) -> None:
        """Refuse to add epsilons of records to epsilons of persons, because neither bounds the other without a factor."""
        for entry in entries:
            other = entry.body.get("unit") if entry.kind == "reserve" else None
            if other not in (None, plan.unit) and not self.dataset.ids.isdisjoint(
                read_dataset(self.ledger.folder, entry.body["dataset"])
            ):
                raise LedgerError(
                    f"{self.ledger.path}: some of these records were used with privacy.unit = '{other}'; an epsilon of a "
                    f"{other} cannot be added to one of a {plan.unit}; keep the unit, or use other records"
                )

    def _refuse_rest(self, entries: Sequence[Entry], run_id: str, round_number: int, plan: PrivacyPlan) -> None:
        if plan.shared is None:
            left = max(1, plan.rounds - round_number + 1)
        else:
            left = plan.rounds - attempts_reserved(entries, run_id, plan)
        if left < 1:
            raise LedgerError(
                f"{self.ledger.path}: the {plan.rounds} attempts of run {run_id} are used up: one for each round, and the "
                "spare ones; start a new run, with a larger privacy.spare_attempts"
            )
        self._refuse(entries, Part.to_come(run_id, plan, left), f"the {left} rounds left of run {run_id}")

    def _refuse(self, entries: Sequence[Entry], more: Part, what: str) -> None:
        self._refuse_in_all(entries, more, what)
        limit = self.limit
        for history in self._histories(entries):
            parts = parts_of(history, more)
            after = self._after(parts, limit)
            if math.isinf(after.epsilon):
                raise LedgerError(
                    f"{self.ledger.path}: some of these records were used without privacy before, so no epsilon can be "
                    "promised for them any more; use other records"
                )
            if after.epsilon > limit.epsilon:
                before = spent(parts_of(history), limit.target_delta, self.accountant).epsilon
                raise LedgerError(
                    f"{self.ledger.path}: budget exhausted: some of these records have spent epsilon "
                    f"{epsilon_up(before)} of {limit}, and {what} would make it {epsilon_up(after.epsilon)}"
                    f"{after.in_words}; use other records, or ask the person responsible for them to raise the limit"
                )

    def _refuse_in_all(self, entries: Sequence[Entry], more: Part, what: str) -> None:
        if self.in_all is None:
            return
        parts = parts_of(entries, more)
        total = self._after(parts, self.in_all)
        if total.epsilon > self.in_all.epsilon:
            raise LedgerError(
                f"{self.ledger.path}: budget exhausted over all datasets of the site: {what} would make it "
                f"{epsilon_up(total.epsilon)} of {self.in_all}{total.in_words}; ask the person responsible for the site "
                "to raise the limit"
            )

    def _after(self, parts: Sequence[Part], limit: Limit) -> Spent:
        """Return the epsilon to compare with a limit, or an upper bound of that epsilon which is within the limit.

        The rounds left of a single run cost no more than its whole plan. The epsilon of the whole plan is the same before
        each round, so it comes from the cache; the epsilon of only the rounds left would take a second to compute.
        """
        if len(parts) == 1 and parts[0].is_planned:
            whole = spent_after((parts[0].counted_whole,), limit.epsilon, limit.target_delta, self.accountant)
            if whole.epsilon <= limit.epsilon:
                return whole
        return spent_after(parts, limit.epsilon, limit.target_delta, self.accountant)

    def _histories(self, entries: Sequence[Entry]) -> list[list[Entry]]:
        """Return the distinct lists of reservations that charge any of our records; at least one list, which may be empty.

        A list that is contained in a longer one is kept: it may begin with another run, and the filter for adaptive choice
        treats the first run differently, so the shorter list may exceed the limit where the longer one does not.
        """
        reservations = [entry for entry in entries if entry.kind == "reserve"]
        names = {str(entry.body["dataset"]) for entry in reservations}
        known = {name: read_dataset(self.ledger.folder, name) for name in names}
        found = {frozenset(name for name, ids in known.items() if not ids.isdisjoint(unit)) for unit in self.dataset.units}
        return [[entry for entry in reservations if entry.body["dataset"] in touched] for touched in found or {frozenset()}]
