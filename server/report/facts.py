"""What a report is made of: what the server holds, and what a simulator may know besides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from privacy.accounting import Accountant
from privacy.dp.plan import PrivacyPlan
from privacy.leakage.recall import Recall
from server.model_assessment import Rival
from server.rounds import Metrics, Round
from shared.config.run import RunConfig
from shared.models.load import LoadedModel
from shared.ops.energy import Lap
from shared.wire.chain_head import Head


@dataclass(frozen=True)
class SiteFacts:
    """What is known of one site: a simulator may know the counts of its records, a server may not.

    ``rounds_spent`` are the numbers of the rounds that it began, or at a server of those that it was asked for.
    """

    site_id: str
    declared_size: int
    plan: PrivacyPlan | None
    rounds_spent: tuple[int, ...]
    ledger: Head
    epsilon_ever: float | None = None
    records: int | None = None
    held_out: int | None = None
    quarantine_reasons: Mapping[str, int] = field(default_factory=dict)
    entities: Mapping[str, int] = field(default_factory=dict)
    recalls: Mapping[str, Recall] = field(default_factory=dict)
    touched: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Baseline:
    """A row to compare with."""

    name: str
    note: str
    metrics: Metrics
    rival: Rival


@dataclass(frozen=True)
class RunFacts:
    """All that a report is made of."""

    run_id: str
    config: RunConfig
    model: LoadedModel = field(repr=False)
    adapter: Mapping[str, str | int]
    baselines: Sequence[Baseline]
    base: Metrics
    final: Metrics
    rounds: Sequence[Round]
    by_site: Mapping[str, Metrics]
    sites: Sequence[SiteFacts]
    assessment: Mapping[str, Any]
    choice: Mapping[str, Any] | None = None
    probes: Mapping[str, Any] | None = None
    laps: Sequence[Lap | None] = ()
    accountant: Accountant = field(default_factory=Accountant, repr=False)
