"""The round loop: one screen, read from top to bottom, the same for a simulation and for real sites."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from privacy.dp.plan import PrivacyPlan
from server.aggregation import Memory, Setting
from server.cohort import back_off, bound_to, choose, drawn, has_quorum, without
from server.ledger_heads import Heads
from server.round_replies import Tally
from server.screening import Answer, Rejected
from server.secure_round import BeforeAsking, SumTally
from server.sum_readings import reading_of
from shared.adapters.ranks import cut
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import QuorumError
from shared.metrics.bootstrap import Interval
from shared.ops import crash_points as faults
from shared.wire.chain_head import ChainHead
from shared.wire.messages import Envelope, Order, TrainOrder
from shared.wire.round_chain import extend
from shared.wire.version import installed

Metrics = Mapping[str, Interval]
OF_THE_COHORT = frozenset({"train", "aggregate"})  # stages that take longer or shorter by which sites take part


class Fleet(Protocol):
    """The sites of a run, in this process or on other machines."""

    def connected(self) -> tuple[str, ...]:
        """Return the names of the sites that can be asked now."""

    def ask(self, orders: Mapping[str, Order], deadline: float) -> Iterator[Answer]:
        """Send each site its order; yield answers as they arrive, until all are here or ``deadline`` seconds have passed."""


@dataclass(frozen=True)
class Round:
    """What one attempt at a round did.

    ``adapter`` and ``memory`` (the aggregation's state for the next round) are those after the attempt; an abandoned attempt
    leaves both unchanged. ``lost`` is the share of the wanted updates that the cut to the adapter's rank left out, if the
    method of aggregation cuts (`Aggregate.lost`). ``replies`` holds the digest of each accepted reply. It is empty where
    replies carry no noise of the site (a digest would confirm a guess of the reply), and where the server samples the sites
    in secret.
    """

    number: int
    committed: bool
    adapter: AdapterState = field(repr=False)
    adapter_digest: str
    metrics: Metrics
    accepted: tuple[str, ...]
    rejected: tuple[Rejected, ...]
    released: Mapping[str, Mapping[str, float]]
    ledgers: Mapping[str, ChainHead]
    record: ChainHead
    missing: tuple[str, ...]
    bytes_down: int
    bytes_up: int
    stages: Mapping[str, float]
    site_kwh: Mapping[str, float] = field(default_factory=dict)
    replies: Mapping[str, str] = field(default_factory=dict)
    memory: Memory = field(default_factory=dict, repr=False)
    lost: float | None = None

    @property
    def seconds(self) -> float:
        """Return the round's wall-clock time."""
        return sum(self.stages.values())

    def without_cohort(self) -> "Round":
        """Remove who took part, which stays secret where the guarantee rests on a random sample of sites."""
        hidden: Mapping[str, Any] = {name: {} for name in ("released", "ledgers", "site_kwh", "replies")}
        stages = {stage: seconds for stage, seconds in self.stages.items() if stage not in OF_THE_COHORT}
        return replace(self, accepted=(), rejected=(), missing=(), bytes_down=0, bytes_up=0, stages=stages, **hidden)

    @property
    def asked(self) -> tuple[str, ...]:
        """Return the names of the sites that got an order."""
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
    before_asking: BeforeAsking = lambda number, sites: None,
    bound: Sequence[str] = (),
) -> Iterator[Round]:
    """Run the rounds that are left, and yield each attempt at a round when it ends.

    A round counts when a quorum of replies passes screening. Otherwise it is abandoned and tried again: it has no effect on
    the adapter, though what the sites released in it stays spent. Each order carries the chain heads of the site's ledger
    and of the server's own chain of rounds, so that each side detects a truncated record of the other.

    Under a plan of the server's own, an order must not reveal which sites were sampled, or how many. It therefore states
    the expected number of sites, and the server's chain of rounds leaves the sites' ledgers and replies out.

    Parameters
    ----------
    config, run_id
        The run.
    adapter
        The adapter to start from: of a new run, or of the last committed round.
    fleet
        The sites.
    weights
        The public weight of each site of the run.
    evaluate
        Measures an adapter on the server's records; called after the committed rounds that ``evaluation.every`` asks for.
    commit
        Makes a round permanent; the next round begins only when this returns.
    plan
        The server's own privacy plan, where sites trust it to clip and to add the noise; or the plan of all sites, where
        they share one noise.
    last
        The last committed round of a run that is resumed.
    sleep
        Waits between two attempts at a round.
    heads
        What the server knows of the sites' ledgers from this run and earlier ones; updated with each answer.
    before_asking
        Called with the round and the sites before these sites are asked for vectors of a secure sum, or for deltas, which
        they charge. It is not called for sites that the server samples in secret.
    bound
        The sites that were asked for vectors in an earlier attempt at the first round to run; under
        ``aggregation.secure_sums`` the round needs exactly these sites.

    Yields
    ------
    Round
        Each attempt, whether it was committed or abandoned.

    Raises
    ------
    QuorumError
        A round found no quorum in ``cohort.attempts`` attempts.
    """
    number, attempt = last.number + 1 if last else 1, 1
    memory: Memory = last.memory if last else {}
    ledgers, record = (dict(last.ledgers), last.record) if last else ({}, ChainHead())
    heads = heads or Heads()
    for site, head in ledgers.items():
        heads.saw(site, head, run_id, number - 1)
    here = installed()
    owing: set[str] = set()  # sites from which an earlier attempt at this round lacked a vector
    while number <= config.training.rounds:
        clock = _Clock()
        # 1. Choose the sites, and write their orders.
        connected = without(fleet.connected(), owing, plan)
        cohort = (
            bound_to(connected, bound) if bound else drawn(choose(connected, config.cohort, plan), config, number, attempt)
        )
        together = len(cohort) if plan is None or plan.shared else round(plan.expected_batch)
        nonces, starts = _nonces(cohort, config.adds_up_under_masks), _starts(adapter, config, cohort)
        orders = {
            site: TrainOrder(
                run_id, number, nonces[site], config, start.adapter, together, here, heads.head(site), record, attempt, start
            )
            for site, start in zip(cohort, starts, strict=True)
        }
        if plan is None and not config.adds_up_under_masks:  # a secure sum asks in its second phase
            before_asking(number, cohort)
        faults.point("chosen", number)
        # 2. Ask, and 3. screen and fold each answer as it arrives: no answer can stop the round.
        again = {site for site in orders if heads.answered(site, run_id, number)}
        tally: Tally | SumTally
        if config.adds_up_under_masks:
            tally = SumTally(reading_of(config, plan, adapter, memory), orders, adapter, before_asking, bound)
        else:
            tally = Tally(orders, Setting(adapter, weights, config.aggregation, plan, memory, config.ranks), again)
        for phase in tally.phases():
            for answer in fleet.ask(phase, config.cohort.deadline) if phase else ():
                clock.lap("train")
                faults.point("answered", number)
                tally.take(answer)
                if answer.site_id in tally.ledgers:  # also of a rejected answer: what it released is spent
                    heads.saw(answer.site_id, tally.ledgers[answer.site_id], run_id, number)
                clock.lap("aggregate")
                faults.point("folded", number)
        owing |= tally.owing
        bound = tally.bound
        clock.lap("train")
        # 4. Apply the aggregate of the accepted replies, or change nothing.
        replies: Mapping[str, str] = {}
        lost: float | None = None
        committed = has_quorum(len(connected), len(tally.accepted), config.cohort, plan)
        ledgers |= tally.ledgers
        if committed:
            aggregate = tally.result()
            adapter, memory, lost = adapter.add(aggregate.change), aggregate.memory, aggregate.lost
            seen = plan is None or plan.shared is not None
            replies = tally.digests if seen and config.privacy.enabled else {}
            record = extend(record, run_id, number, adapter.digest(), ledgers if seen else {}, replies)
        clock.lap("aggregate")
        faults.point("aggregated", number)
        # 5. Measure, and 6. commit the whole round or nothing.
        due = committed and config.evaluation.is_due(number, config.training.rounds)
        metrics = evaluate(adapter) if due else {}
        clock.lap("evaluate")
        faults.point("measured", number)
        done = _round(
            number, committed, adapter, metrics, orders, tally, dict(ledgers), record, clock.laps, memory, replies, lost
        )
        if committed:
            commit(done)
            faults.point("committed", number)
        yield done
        # 7. Continue with the next round, or try this one again after a pause.
        if committed:
            number, attempt, owing, bound = number + 1, 1, set(), ()
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
    tally: Tally | SumTally,
    ledgers: Mapping[str, ChainHead],
    record: ChainHead,
    stages: Mapping[str, float],
    memory: Memory,
    replies: Mapping[str, str],
    lost: float | None,
) -> Round:
    """Describe an attempt that has ended."""
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
        lost=lost,
        site_kwh=tally.kwh,
        replies=replies,
        memory=memory,
    )


def _starts(adapter: AdapterState, config: RunConfig, cohort: Sequence[str]) -> list[Envelope]:
    """Return what each site starts from: the adapter, cut to the site's own rank; sites of one rank share one copy."""
    ranks, whole = config.ranks, config.adapter.rank
    cuts = {rank: adapter if rank == whole else cut(adapter, rank) for rank in {ranks[site] for site in cohort}}
    envelopes = {rank: Envelope(config, start) for rank, start in cuts.items()}
    return [envelopes[ranks[site]] for site in cohort]


def _nonces(cohort: Sequence[str], together: bool) -> dict[str, str]:
    """Return a fresh nonce for each site's order; the sites of a secure sum get the same one, which names the attempt."""
    common = secrets.token_hex(16) if together else None
    return {site: common or secrets.token_hex(16) for site in cohort}


class _Clock:
    """Measures the seconds of each stage, on the monotonic clock."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.laps[stage] = self.laps.get(stage, 0.0) + now - self._last
        self._last = now
