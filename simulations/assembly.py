"""Assemble a federation on this machine (sites, records, ledgers), and run the production round loop over it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from client.data_stage.site_data import SiteData
from client.exactness import self_check
from client.site import Site
from privacy.accounting import Accountant
from privacy.budget import Budget
from privacy.dp.plan import PrivacyPlan
from server.evaluation import Evaluator, choose_examples
from server.held_out_file import OWNER, HeldOutFile
from server.products import Measures
from server.rounds import Fleet, Metrics, Round, run_rounds
from server.warm_start import start_of
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import RunError
from shared.ops.progress import Advance
from shared.records.read import read_records
from shared.records.types import Record
from shared.tasks import load_learner
from shared.tasks.base import Learner
from shared.tasks.cached_activations import FrozenPrefix
from shared.tasks.examples import Example
from simulations.fleets.local import LocalFleet
from simulations.fleets.pool import Pool, PoolFleet
from simulations.planning import Plans
from simulations.site_builder import Learners, SiteBuilder, new_keys
from simulations.sites import site_budget


class Member(Protocol):
    """A site of a simulation, in this process or in a worker."""

    @property
    def site_id(self) -> str:
        """Return the site's name."""

    @property
    def declared_size(self) -> int:
        """Return the site's declared size."""

    @property
    def plan(self) -> PrivacyPlan | None:
        """Return the site's own plan; None where the site adds no noise."""

    @property
    def budget(self) -> Budget:
        """Return the site's budget."""

    @property
    def encoded(self) -> tuple[Sequence[Example], FrozenPrefix | None]:
        """Return the encoded records, and the cached states for them if they are in this process."""


@dataclass(frozen=True)
class Remote:
    """A site in a worker process; the cached states of its frozen layers stay in the worker."""

    site_id: str
    declared_size: int
    plan: PrivacyPlan | None
    budget: Budget
    examples: Callable[[str], Sequence[Example]]

    @property
    def encoded(self) -> tuple[Sequence[Example], None]:
        """Return the encoded records, from the worker, and no cached states."""
        return self.examples(self.site_id), None


@dataclass(frozen=True)
class Federation:
    """A federation, ready to start.

    Attributes
    ----------
    learner
        The task with the model that is measured; sites in this process also train this model.
    start
        The adapter that the run starts from.
    sites
        The sites, in the order of the config.
    plan
        The server's own plan, if it adds the noise.
    data
        The records of each site.
    measures
        Measures adapters on the held-out records.
    fleet
        Returns the fleet that asks the sites; its argument is called with 1 after each answer.
    embeddings
        Returns the base model's embeddings of each site's records, where worker processes compute them.
    """

    learner: Learner
    start: AdapterState = field(repr=False)
    sites: Sequence[Member]
    plan: PrivacyPlan | None
    data: Sequence[SiteData]
    measures: Measures
    fleet: Callable[[Advance], Fleet]
    embeddings: Callable[[], Mapping[str, npt.NDArray[np.float32]]] | None = None


def assemble(
    config: RunConfig,
    plans: Plans,
    data: Sequence[SiteData],
    measured: Sequence[tuple[str, Record]],
    folder: Path,
    public: Sequence[tuple[str, Record]] = (),
    accountant: Accountant | None = None,
    pool: Pool | None = None,
) -> Federation:
    """Set up a federation of sites with scrubbed records.

    Parameters
    ----------
    config, plans, data
        The run, its privacy plans, and each site's records.
    measured
        Held-out records with the site that each came from, on which the run is measured.
    folder
        Folder for the sites' ledgers, unless ``privacy.ledger`` names another.
    public
        Validation records, on which the published round is chosen; if empty, the last round is published.
    accountant
        Shared with later calls, so that equal plans are computed once; None makes a new one.
    pool
        Worker processes for the sites; None trains them in this process.

    Raises
    ------
    HushtuneError
        A site can't take part: too few records, inexact gradients, or a budget that can't pay the run.
    """
    learner = load_learner(config)
    accountant = accountant or Accountant()  # shared: sites of the same declared size have the same plan
    builder = SiteBuilder(config, plans.sites, folder, new_keys(config))
    sites, fleet = _built_sites(builder, data, learner, accountant, pool)
    for site in sites:
        if site.plan is not None:
            site.budget.refuse_beyond(site.plan)
    validation = evaluator_of(config, learner, public) if public else None
    evaluator = evaluator_of(config, learner, measured, declared_groups(config, data))
    measures, embeddings = Measures(evaluator, validation), pool.embeddings if pool else None
    return Federation(learner, start_of(config, learner), sites, plans.server, data, measures, fleet, embeddings)


def _built_sites(
    builder: SiteBuilder, data: Sequence[SiteData], learner: Learner, accountant: Accountant, pool: Pool | None
) -> tuple[Sequence[Member], Callable[[Advance], Fleet]]:
    """Build all sites, in this process or in the pool; return them with a function that makes their fleet."""
    config = builder.config
    budgets = {each.section.id: site_budget(config, each, builder.folder, accountant) for each in data}
    if pool is None:
        sites = _checked(builder, data, Learners(config, learner), budgets)
        return sites, lambda advance: LocalFleet(sites, advance)
    pool.start(builder, data, budgets, accountant, learner)
    remote = [
        Remote(site.id, site.declared_size, builder.plans[site.id], budgets[site.id], pool.encoded)
        for site in (each.section for each in data)
    ]
    return remote, lambda advance: PoolFleet(pool, list(budgets), advance)


def _checked(
    builder: SiteBuilder, data: Sequence[SiteData], learners: Learners, budgets: Mapping[str, Budget]
) -> list[Site]:
    """Build all sites in this process, and check each model's gradients on the longest and shortest records of its sites.

    A real site checks its own records. Here, all sites of one rank share a model, so one check covers them.

    Raises
    ------
    PrivacyError
        The gradients of a model are not exact.
    """
    config, sites = builder.config, dict[str, Site]()
    by_rank: dict[int, list[SiteData]] = {}
    for each in data:
        by_rank.setdefault(config.ranks[each.section.id], []).append(each)
    for group in by_rank.values():
        named = {each.section.id: each for each in group}
        built = {name: builder.build(each, learners, budgets[name], packs=True) for name, each in named.items()}
        examples = [example for site in built.values() if site.plan is not None for example in site.encoded[0]]
        learner, training = learners.of(group[0].section.id), config.training
        if examples and not self_check(learner, examples, config.privacy.self_check, training.distillation).may_pack:
            built = {name: builder.build(each, learners, budgets[name], packs=False) for name, each in named.items()}
        sites.update(built)
    return [sites[each.section.id] for each in data]


def evaluator_of(
    config: RunConfig,
    learner: Learner,
    owned: Sequence[tuple[str, Record]],
    groups: Mapping[str, Mapping[int, str]] | None = None,
) -> Evaluator:
    """Return an evaluator on records of named owners.

    Parameters
    ----------
    config, learner
        The run, and its task with the model.
    owned
        Each record with its owner's name.
    groups
        The declared group of a record, by its owner and its position; None if no groups are declared.
    """
    declared = [(groups or {}).get(owner, {}).get(record.position) for owner, record in owned]
    return Evaluator.of(learner, [record for _, record in owned], [owner for owner, _ in owned], config, declared)


def held_out_records(config: RunConfig, data: Sequence[SiteData]) -> list[tuple[str, Record]]:
    """Return the held-out records that are scored, each with the site that it came from.

    With ``evaluation.file`` they come from that file, and their owner is the server.

    Raises
    ------
    RunError
        There are none.
    DataError
        The file of held-out records cannot be used.
    """
    file = config.evaluation.file
    own = [(OWNER, record) for record in HeldOutFile.read(file, config).records] if file else []
    owned = [*own, *((site.section.id, record) for site in data for record in site.held_out.records)]
    if not owned:
        raise RunError("data.held_out: no record was held out, so nothing can be measured; raise the share")
    return [owned[i] for i in choose_examples(len(owned), config.evaluation, config.run.seed)]


def declared_groups(config: RunConfig, data: Sequence[SiteData]) -> Mapping[str, Mapping[int, str]]:
    """Return the declared groups of the held-out records, by owner and position."""
    groups: dict[str, Mapping[int, str]] = {site.section.id: site.groups for site in data}
    if config.evaluation.file and config.group_column:
        rows = read_records(config.evaluation.file, config)
        groups[OWNER] = {record.position: record.group for record in rows if record.group is not None}
    return groups


def federate(
    prepared: Federation,
    config: RunConfig,
    run_id: str,
    advance: Advance,
    evaluate: Callable[[AdapterState], Metrics],
    commit: Callable[[Round], None],
) -> Iterator[Round]:
    """Run the production round loop over the federation's sites.

    Parameters
    ----------
    prepared
        The federation.
    config, run_id
        The run.
    advance
        Called with 1 after each answer of a site.
    evaluate
        Measures an adapter.
    commit
        Makes a round permanent.
    """
    return run_rounds(
        config,
        run_id,
        prepared.start,
        prepared.fleet(advance),
        config.weights,
        evaluate,
        commit,
        prepared.plan or next((site.plan for site in prepared.sites if site.plan and site.plan.shared), None),
        sleep=lambda seconds: None,  # a pause would bring no site back
    )
