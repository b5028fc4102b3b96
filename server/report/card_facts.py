"""Define the facts that a privacy card is built from; each is public by declaration or was charged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from privacy.accounting import Accountant
from privacy.mechanism_event import MechanismEvent
from privacy.secagg.shared_plan import SharedNoise
from shared.config.run import RunConfig
from shared.metrics.bootstrap import Interval
from shared.wire.chain_head import ChainHead


@dataclass(frozen=True)
class Charge:
    """One mechanism event that a site was charged for."""

    run_id: str
    round: int
    event: MechanismEvent


Charges = tuple[Charge, ...]


@dataclass(frozen=True)
class SiteCharges:
    """The facts about one site that the card may state: each is public by declaration or was charged.

    ``target_delta`` is None without privacy. ``head`` is the chain head of the site's ledger when the server last heard of
    it. ``epsilon_ever`` is the largest epsilon of any of the site's records over all runs in that ledger, counted as for the
    ledger's limit (by a privacy filter if there were several runs); only the site and a simulator know it.
    """

    site_id: str
    declared_size: int
    target_delta: float | None
    charges: Charges
    head: ChainHead
    epsilon_ever: float | None = None


@dataclass(frozen=True)
class BaseModel:
    """The frozen model under the adapter; ``kind`` is encoder or causal, ``digest`` the SHA-256 of its weights."""

    name: str
    reference: str
    kind: str
    digest: str
    licence: str | None


@dataclass(frozen=True)
class CardFacts:
    """All facts that a card is built from; a card contains nothing else.

    ``trust``, ``unit`` and ``relation`` are those of the plan that ran (``trust`` is None without privacy). ``files`` maps
    the adapter's files to their SHA-256. ``record`` is the chain head of the server's own chain of rounds. ``energy`` says
    whether a site sent the electricity of its rounds. ``shared`` is the noise that sites share under trust ``distributed``.
    ``audits`` is what audits had found when the card was made.
    Counts of records or of personal data are not among the facts, even for a simulation, because a card is published
    together with its adapter.
    """

    run_id: str
    created: str
    simulated: bool
    config: RunConfig
    trust: str | None
    unit: str
    relation: str
    model: BaseModel
    adapter_digest: str
    files: Mapping[str, str]
    trainable_parameters: int
    rounds_committed: int
    record: ChainHead
    sites: Sequence[SiteCharges]
    metrics: Mapping[str, Interval]
    versions: Mapping[str, str]
    energy: bool = False
    shared: SharedNoise | None = None
    accountant: Accountant = field(default_factory=Accountant, repr=False)
    audits: Mapping[str, Any] = field(default_factory=dict)
