"""The facts that a report is built from: those a server has, and those only a simulator may know."""

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
from shared.wire.chain_head import ChainHead


@dataclass(frozen=True)
class SiteFacts:
    """The facts about one site. The fields from ``records`` on are counts that only a simulator may know.

    ``rounds_spent`` holds the numbers of the rounds that the site began; a server, which cannot know this, takes all rounds
    in which it asked the site, or all attempts at secure sums in which it asked for the site's vector.
    """

    site_id: str
    declared_size: int
    plan: PrivacyPlan | None
    rounds_spent: tuple[int, ...]
    ledger: ChainHead
    epsilon_ever: float | None = None
    records: int | None = None
    held_out: int | None = None
    quarantine_reasons: Mapping[str, int] = field(default_factory=dict)
    entities: Mapping[str, int] = field(default_factory=dict)
    recalls: Mapping[str, Recall] = field(default_factory=dict)
    touched: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Baseline:
    """A reference model that the final adapter is compared with.

    ``private`` says that the model keeps the run's guarantee: it has the same privacy plan, or read no site's record.
    """

    name: str
    note: str
    private: bool
    metrics: Metrics
    rival: Rival


@dataclass(frozen=True)
class Personal:
    """How well a site's personal adapter does on the site's own held-out records, which only a simulator can know.

    ``epsilon`` is what the site's records have spent with the personal round; None without privacy.
    """

    metrics: Metrics
    records: int
    epsilon: float | None


@dataclass(frozen=True)
class RunFacts:
    """All facts that a report is built from."""

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
    personal: Mapping[str, Personal] = field(default_factory=dict)
    accountant: Accountant = field(default_factory=Accountant, repr=False)
