"""The round loop: one screen, read from top to bottom, the same for a simulation and for real sites."""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from server.aggregation import METHODS
from server.cohort import choose, has_quorum
from server.screening import Accepted, Answer, Rejected, screen
from shared.adapter import AdapterState
from shared.config import RunConfig
from shared.messages import TrainOrder
from shared.metrics import Interval
from shared.version import installed

Metrics = Mapping[str, Interval]


class Fleet(Protocol):
    """The sites, however they are reached."""

    def connected(self) -> tuple[str, ...]:
        """The sites that can be asked now."""

    def ask(self, orders: Mapping[str, TrainOrder], deadline: float) -> Iterator[Answer]:
        """Send each site its order and yield answers as they come, until all came or ``deadline`` seconds are over."""


@dataclass(frozen=True)
class Round:
    """What one round did; ``adapter`` is the state after it, the one before where it was abandoned."""

    number: int
    committed: bool
    adapter: AdapterState = field(repr=False)
    metrics: Metrics
    accepted: tuple[str, ...]
    rejected: tuple[Rejected, ...]
    missing: tuple[str, ...]
    bytes_down: int
    bytes_up: int
    stages: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """The round's wall-clock time."""
        return sum(self.stages.values())


def run_rounds(
    config: RunConfig,
    run_id: str,
    adapter: AdapterState,
    fleet: Fleet,
    weights: Mapping[str, float],
    evaluate: Callable[[AdapterState], Metrics],
    commit: Callable[[int, AdapterState], None],
) -> Iterator[Round]:
    """Yield each round of the run as it ends.

    A round counts when a quorum of replies passes screening; otherwise it is abandoned with no effect on the adapter,
    though what the sites released in it stays spent. ``weights`` are public numbers by site.
    """
    for number in range(1, config.training.rounds + 1):
        clock = _Clock()
        # 1. Who is asked, and what.
        cohort = choose(fleet.connected(), config.cohort)
        orders = {
            site: TrainOrder(run_id, number, secrets.token_hex(16), config, adapter, len(cohort), installed())
            for site in cohort
        }
        # 2. Ask, and 3. screen each answer as it comes: no answer can stop the round.
        answers = list(fleet.ask(orders, config.cohort.deadline))
        clock.lap("train")
        verdicts = [
            screen(answer, orders[answer.site_id], config.aggregation.max_norm) for answer in _first_each(answers, orders)
        ]
        accepted = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
        # 4. Aggregate, 5. apply and 6. commit: whole or not at all.
        committed = has_quorum(len(accepted), config.cohort)
        if committed:
            deltas = [reply.delta for reply in accepted]
            adapter = adapter.add(METHODS[config.aggregation.method](deltas, [weights[r.site_id] for r in accepted]))
            commit(number, adapter)
        clock.lap("aggregate")
        # 7. Measure.
        metrics = evaluate(adapter)
        clock.lap("evaluate")
        yield _round(number, committed, adapter, metrics, orders, answers, verdicts, clock.laps)


def _round(
    number: int,
    committed: bool,
    adapter: AdapterState,
    metrics: Metrics,
    orders: Mapping[str, TrainOrder],
    answers: Sequence[Answer],
    verdicts: Sequence[Accepted | Rejected],
    stages: Mapping[str, float],
) -> Round:
    """The record of a round that has ended."""
    return Round(
        number=number,
        committed=committed,
        adapter=adapter,
        metrics=metrics,
        accepted=tuple(verdict.site_id for verdict in verdicts if isinstance(verdict, Accepted)),
        rejected=tuple(verdict for verdict in verdicts if isinstance(verdict, Rejected)),
        missing=tuple(sorted(set(orders) - {answer.site_id for answer in answers})),
        bytes_down=sum(answer.bytes_down for answer in answers),
        bytes_up=sum(answer.bytes_up for answer in answers),
        stages=stages,
    )


def _first_each(answers: Iterable[Answer], orders: Mapping[str, TrainOrder]) -> Iterator[Answer]:
    """The first answer of each site that was asked; duplicates and strangers are dropped."""
    seen: set[str] = set()
    for answer in answers:
        if answer.site_id in orders and answer.site_id not in seen:
            seen.add(answer.site_id)
            yield answer


class _Clock:
    """Seconds by stage, on the monotonic clock."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.laps[stage] = self.laps.get(stage, 0.0) + now - self._last
        self._last = now
