"""Assemble a federation in this process (sites, records, ledgers), and run the production round loop over it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.data_stage.site_data import SiteData
from client.site import Site
from privacy.accounting import Accountant
from privacy.dp.plan import PrivacyPlan
from privacy.secagg.delta_grid import DeltaGrid
from privacy.secagg.protocol import Participant
from privacy.secagg.roster import Roster
from privacy.secagg.shared_plan import SharedNoise
from server.evaluation import Evaluator, choose_examples
from server.held_out_file import OWNER, HeldOutFile
from server.products import Measures
from server.rounds import Metrics, Round, run_rounds
from shared.adapters.peft import read_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import RunError
from shared.identity.keys import new_key
from shared.ops.progress import Advance
from shared.records.read import read_records
from shared.records.types import Record
from shared.tasks import load_learner
from shared.tasks.base import Learner
from simulations.fleets.local import LocalFleet
from simulations.planning import Plans
from simulations.sites import site_budget


@dataclass(frozen=True)
class Federation:
    """A federation in this process, ready to start."""

    learner: Learner
    sites: Sequence[Site]
    plan: PrivacyPlan | None
    data: Sequence[SiteData]
    measures: Measures


def assemble(
    config: RunConfig,
    plans: Plans,
    data: Sequence[SiteData],
    measured: Sequence[tuple[str, Record]],
    folder: Path,
    public: Sequence[tuple[str, Record]] = (),
    accountant: Accountant | None = None,
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

    Raises
    ------
    HushtuneError
        A site can't take part: too few records, inexact gradients, or a budget that can't pay the run.
    """
    learner = load_learner(config)
    accountant = accountant or Accountant()  # shared: sites of the same declared size have the same plan
    budgets, members = [site_budget(config, d, folder, accountant) for d in data], participants(config)
    sites = [
        Site.of(config, d, learner, plans.sites[d.section.id], own, participant=members.get(d.section.id))
        for d, own in zip(data, budgets, strict=True)
    ]
    for site in sites:
        if site.plan is not None:
            site.budget.refuse_beyond(site.plan)
    validation = evaluator_of(config, learner, public) if public else None
    evaluator = evaluator_of(config, learner, measured, declared_groups(config, data))
    return Federation(learner, sites, plans.server, data, Measures(evaluator, validation))


def participants(config: RunConfig) -> Mapping[str, Participant]:
    """Return each site's part in secure sums, with new keys that all sites have pinned; empty if the run has none."""
    if not config.adds_up_under_masks:
        return {}
    shares = config.privacy.trust == "distributed"
    fewest = SharedNoise.of(config).fewest if shares else DeltaGrid.of(config).fewest
    keys = {site.id: new_key() for site in config.data.sites}
    roster = Roster({site: key.public_key() for site, key in keys.items()})
    colluders = config.privacy.colluders if shares else 1
    return {site: Participant(site, key, roster, fewest, colluders) for site, key in keys.items()}


def evaluator_of(
    config: RunConfig,
    learner: Learner,
    owned: Sequence[tuple[str, Record]],
    groups: Mapping[str, Mapping[int, str]] | None = None,
) -> Evaluator:
    """Return an evaluator on records of named owners; ``groups`` are declared groups, by owner and position.

    Parameters
    ----------
    config, learner
        The run, and its task with the model.
    owned
        Each record with its owner's name.
    groups
        Declared groups by owner and position of the record.
    """
    declared = [(groups or {}).get(owner, {}).get(record.position) for owner, record in owned]
    return Evaluator.of(learner, [record for _, record in owned], [owner for owner, _ in owned], config, declared)


def held_out_records(config: RunConfig, data: Sequence[SiteData]) -> list[tuple[str, Record]]:
    """Return the held-out records that are scored, each with the site that it came from.

    With ``evaluation.file`` they are those of that file, which come from the server.

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
    """Return the declared groups of the held-out records, by owner and position.

    Parameters
    ----------
    config, data
        The run, and its sites' scrubbed records.
    """
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
    """Run the production round loop over the federation's sites, in this process.

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
        read_adapter(prepared.learner.model),
        LocalFleet(prepared.sites, advance),
        config.weights,
        evaluate,
        commit,
        prepared.plan or next((site.plan for site in prepared.sites if site.plan and site.plan.shared), None),
        sleep=lambda seconds: None,  # no pause: a site in this process cannot come back later
    )
