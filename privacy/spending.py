"""Compute what one record has spent over its runs: a single run by its plan, several by the filter for adaptive choice.

The plan of a run is fixed before its first round, so its privacy loss distribution gives its epsilon (``accounting.py``). A
second run may have been chosen after the results of the first, so from the second run on all runs together are counted by
the filter (``renyi_filter.py``). The filter's figure is larger than that of the same plans composed as if fixed together:
over 54 plans with epsilon 0.5 to 10 at delta 1e-4 to 1e-6, by 30 % on average and 55 % at most.

Why the deltas of the two rules do not add up. Whether the whole first run passes the filter at the limit follows from its
plan, so it is known before anything is released. If it passes, everything that may ever happen passes the filter, and one
bound holds for all. If it does not pass, it is counted in full from the second run on, even if it was cut short, so no
second run is ever admitted; then all that may ever happen is one run with a plan fixed in advance, or a part of it, and
again one bound holds. Nobody can choose between the two rules after seeing a result.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from privacy.accounting import Accountant
from privacy.entries import Entry
from privacy.mechanism_event import MechanismEvent
from privacy.renyi_filter import filter_epsilon

if TYPE_CHECKING:  # it imports torch, which reading a ledger does not need
    from privacy.dp.plan import PrivacyPlan

Events = tuple[MechanismEvent, ...]


@dataclass(frozen=True)
class Spent:
    """A spent epsilon, and the rule that gives it: the plan of the only run, or the filter for adaptive choice."""

    epsilon: float
    counted_by: Literal["plan", "filter"]

    @property
    def in_words(self) -> str:
        """Return words that say the rule, to follow the figure in a sentence; empty for the plan of a single run."""
        return " by the filter for runs that may have been chosen after earlier results" * (self.counted_by == "filter")


@dataclass(frozen=True)
class Part:
    """The part of one run in a record's history: what its rounds reserved, and its whole plan.

    Rounds of one run id under two plans are two parts, because the second plan may have been chosen after results of the
    first.

    Attributes
    ----------
    run_id
        Id of the run.
    plan
        Digest of the plan; None for a run without privacy.
    events
        Mechanism events that were reserved; empty for a run without privacy.
    whole
        Mechanism events of the whole plan; None if a ledger of an earlier version does not say.
    """

    run_id: str
    plan: str | None
    events: Events
    whole: Events | None = None

    @classmethod
    def to_come(cls, run_id: str, plan: "PrivacyPlan", rounds: int) -> "Part":
        """Return the part that ``rounds`` further rounds of a run will reserve.

        Parameters
        ----------
        run_id
            Id of the run.
        plan
            Privacy plan of the run.
        rounds
            Number of further rounds.
        """
        return cls(run_id, plan.digest(), plan.events * rounds, plan.events * plan.rounds)

    @property
    def is_planned(self) -> bool:
        """Tell whether no more was reserved than the plan that was fixed in advance contains."""
        return self.whole is None or len(self.events) <= len(self.whole)

    @property
    def counted_whole(self) -> "Part":
        """Return the part as if its run had continued to the end of its plan."""
        return replace(self, events=self.whole) if self.whole is not None and self.is_planned else self

    def and_then(self, more: "Part") -> "Part":
        """Return this part with further rounds of the same run."""
        events = (*self.events, *more.events) if self.events and more.events else ()
        return replace(self, events=events, whole=self.whole or more.whole)


def parts_of(entries: Iterable[Entry], *more: Part) -> tuple[Part, ...]:
    """Return the runs of a history in the order in which they began, followed by the new runs among ``more``.

    Parameters
    ----------
    entries
        Entries of the ledger.
    more : Part
        Rounds that are not in the ledger yet.
    """
    found: dict[tuple[str, str | None], Part] = {}
    for part in (*(_part(entry) for entry in entries if entry.kind == "reserve"), *more):
        run = part.run_id, part.plan
        found[run] = found[run].and_then(part) if run in found else part
    return tuple(found.values())


def spent(parts: Sequence[Part], target_delta: float, accountant: Accountant) -> Spent:
    """Return the epsilon that counts against a limit; infinite if a run had no privacy.

    Parameters
    ----------
    parts
        The runs of a record's history.
    target_delta
        Delta of the limit, above 0 and below 1.
    accountant
        Cache of privacy losses.
    """
    by_filter = len(parts) > 1 or not all(part.is_planned for part in parts)
    events = [event for part in parts for event in part.events]
    if any(not part.events for part in parts):
        epsilon = math.inf
    else:
        epsilon = filter_epsilon(events, target_delta) if by_filter else accountant.epsilon(events, target_delta)
    return Spent(epsilon, "filter" if by_filter else "plan")


def spent_after(parts: Sequence[Part], limit: float, target_delta: float, accountant: Accountant) -> Spent:
    """Return the epsilon to compare with a limit if the last rounds in ``parts`` are still to come.

    Rounds may be reserved only if it is at most ``limit``. The first of several runs is counted in full if its whole plan
    does not pass the filter at ``limit``; the docstring of this module says why.

    Parameters
    ----------
    parts
        The runs of a record's history, including the rounds to come.
    limit
        Epsilon of the limit.
    target_delta
        Delta of the limit, above 0 and below 1.
    accountant
        Cache of privacy losses.
    """
    if len(parts) > 1 and parts[0].events:
        whole = parts[0].counted_whole
        if filter_epsilon(whole.events, target_delta) > limit:
            parts = (whole, *parts[1:])
    return spent(parts, target_delta, accountant)


def events_of(entry: Entry) -> Events:
    """Return the mechanism events that a reservation charges; none for a round without privacy.

    Parameters
    ----------
    entry
        A ledger entry of kind ``reserve``.
    """
    rows: Sequence[Mapping[str, Any]] = entry.body["events"]
    return tuple(MechanismEvent(**row) for row in rows)


def _part(entry: Entry) -> Part:
    """Return the part of one reserved round; every round of a plan has the same events."""
    events, rounds = events_of(entry), entry.body.get("rounds")
    return Part(entry.body["run_id"], entry.body["plan"], events, None if rounds is None else events * int(rounds))
