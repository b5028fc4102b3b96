"""The round loop: one screen, read from top to bottom, the same for a simulation and for real sites."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from privacy.dp.plan import PrivacyPlan
from server.cohort import back_off, choose, has_quorum
from server.ledger_heads import Heads
from server.round_chain import extend
from server.round_replies import Tally
from server.screening import Answer, Rejected
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import QuorumError
from shared.metrics.bootstrap import Interval
from shared.ops import crash_points as faults
from shared.wire.chain_head import Head
from shared.wire.messages import TrainOrder
from shared.wire.version import installed

Metrics = Mapping[str, Interval]


class Fleet(Protocol):
    """The sites, however they are reached."""

    def connected(self) -> tuple[str, ...]:
        """The sites that can be asked now."""

    def ask(self, orders: Mapping[str, TrainOrder], deadline: float) -> Iterator[Answer]:
        """Send each site its order and yield answers as they come, until all came or ``deadline`` seconds are over."""


@dataclass(frozen=True)
class Round:
    """What one attempt at a round did; ``adapter`` is the state after it, the one before where it was abandoned."""

    number: int
    committed: bool
    adapter: AdapterState = field(repr=False)
    adapter_digest: str
    metrics: Metrics
    accepted: tuple[str, ...]
    rejected: tuple[Rejected, ...]
    released: Mapping[str, Mapping[str, float]]
    ledgers: Mapping[str, Head]
    record: Head
    missing: tuple[str, ...]
    bytes_down: int
    bytes_up: int
    stages: Mapping[str, float]
    site_kwh: Mapping[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """The round's wall-clock time."""
        return sum(self.stages.values())

    def without_cohort(self) -> "Round":
        """The same without who was in it, which stays secret where the guarantee rests on a sample of sites."""
        hidden: Mapping[str, Any] = {name: {} for name in ("released", "ledgers", "site_kwh")}
        return replace(self, accepted=(), rejected=(), missing=(), bytes_down=0, bytes_up=0, **hidden)

    @property
    def asked(self) -> tuple[str, ...]:
        """The sites that got an order."""
        return tuple(sorted({*self.accepted, *self.missing, *(rejected.site_id for rejected in self.rejected)}))


def run_rounds(
    config: RunConfig,
    run_id: str,
    adapter: AdapterState,
    fleet: Fleet,
    weights: Mapping[str, float],
    evaluate: Callable[[AdapterState], Metrics],
    commit: Callable[[Round], None],
    plan: PrivacyPlan | None = None,
    last: Round | None = None,
    sleep: Callable[[float], None] = time.sleep,
    heads: Heads | None = None,
) -> Iterator[Round]:
    """Yield each attempt at a round as it ends, from round 1, or the one after ``last``, to the end of the run.

    A round counts when a quorum of replies passes screening; otherwise it is abandoned with no effect on the adapter,
    though what the sites released in it stays spent, and tried again. ``weights`` are public numbers by site. The ends of
    the sites' ledgers and of the server's own chain travel with each order, so that neither side loses its tail unseen;
    ``plan`` is the server's own, where sites trust it; ``last`` the last committed round of a run that goes on; ``heads``
    what the server knows of the sites' ledgers from this run and from earlier ones, brought up to date with each answer.

    Raises:
        QuorumError: a round found no quorum in ``cohort.attempts`` attempts.
    """
    number, attempt, metrics = last.number + 1 if last else 1, 1, None
    ledgers, record = (dict(last.ledgers), last.record) if last else ({}, Head())
    heads = heads or Heads()
    for site, head in ledgers.items():
        heads.saw(site, head, run_id, number - 1)
    while number <= config.training.rounds:
        clock = _Clock()
        # 1. Who is asked, and what.
        connected = fleet.connected()
        cohort = choose(connected, config.cohort, plan)
        orders = {
            site: TrainOrder(
                run_id,
                number,
                secrets.token_hex(16),
                config,
                adapter,
                len(cohort),
                installed(),
                heads.head(site),
                record,
            )
            for site in cohort
        }
        faults.point("chosen", number)
        # 2. Ask, and 3. screen and fold each answer as it comes: no answer can stop the round.
        again = {site for site in orders if heads.answered(site, run_id, number)}
        tally = Tally(orders, config, weights, adapter.spec, plan, again)
        for answer in fleet.ask(orders, config.cohort.deadline) if orders else ():
            clock.lap("train")
            faults.point("answered", number)
            tally.take(answer)
            if answer.site_id in tally.ledgers:  # also of a rejected answer: what it took was spent
                heads.saw(answer.site_id, tally.ledgers[answer.site_id], run_id, number)
            clock.lap("aggregate")
            faults.point("folded", number)
        clock.lap("train")
        # 4. Apply what the folded replies come to, or nothing.
        committed = has_quorum(len(connected), len(tally.accepted), config.cohort, plan)
        ledgers |= tally.ledgers
        if committed:
            adapter = adapter.add(tally.delta())
            record = extend(record, run_id, number, adapter.digest(), ledgers)
        clock.lap("aggregate")
        faults.point("aggregated", number)
        # 5. Measure, and 6. commit: whole or not at all.
        metrics = evaluate(adapter) if committed or metrics is None else metrics
        clock.lap("evaluate")
        faults.point("measured", number)
        done = _round(number, committed, adapter, metrics, orders, tally, dict(ledgers), record, clock.laps)
        if committed:
            commit(done)
            faults.point("committed", number)
        yield done
        # 7. Go on, or try again after a while.
        if committed:
            number, attempt = number + 1, 1
        elif attempt == config.cohort.attempts:
            raise QuorumError(
                f"run {config.run.name}, round {number}: {attempt} attempts had no {config.cohort.quorum} accepted replies; "
                "see its log for the reasons by site, mend them and start again"
            )
        else:
            sleep(back_off(attempt, config.cohort))
            attempt += 1


def _round(
    number: int,
    committed: bool,
    adapter: AdapterState,
    metrics: Metrics,
    orders: Mapping[str, TrainOrder],
    tally: Tally,
    ledgers: Mapping[str, Head],
    record: Head,
    stages: Mapping[str, float],
) -> Round:
    """The record of an attempt that has ended."""
    return Round(
        number=number,
        committed=committed,
        adapter=adapter,
        metrics=metrics,
        adapter_digest=adapter.digest(),
        accepted=tuple(sorted(tally.accepted)),
        rejected=tuple(sorted(tally.rejected, key=lambda rejected: rejected.site_id)),
        released=tally.released,
        ledgers=ledgers,
        record=record,
        missing=tuple(sorted(set(orders) - tally.answered)),
        bytes_down=tally.bytes_down,
        bytes_up=tally.bytes_up,
        stages=stages,
        site_kwh=tally.kwh,
    )


class _Clock:
    """Seconds by stage, on the monotonic clock."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.laps[stage] = self.laps.get(stage, 0.0) + now - self._last
        self._last = now
