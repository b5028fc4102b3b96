"""Train a personal adapter at each simulated site after the run, and measure each on the site's own held-out records."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from client.agreement import refuse_unless_personal
from client.site import Site
from server.evaluation import Evaluator
from server.report.facts import Personal
from shared.adapters.peft import write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError
from simulations.assembly import Federation, Member
from simulations.fleets.hosting import MOST_SITES


def refuse_unmeasured(config: RunConfig, processes: bool) -> None:
    """Refuse a run after which personal adapters cannot be trained or measured here.

    Parameters
    ----------
    config
        The run.
    processes
        Whether other processes train the sites.

    Raises
    ------
    ConfigError
        Names the field that is in the way.
    """
    reasons = {
        "other processes train the sites; leave --workers and --ray out": processes,
        f"data.sites: more than {MOST_SITES} sites are not kept in memory; name fewer": len(config.data.sites) > MOST_SITES,
        "evaluation.file: no site has held-out records of its own; hold out a share (data.held_out)": config.evaluation.file,
    }
    for reason, holds in reasons.items():
        if holds:
            raise ConfigError(f"--personal: {reason}")
    refuse_unless_personal(config, config.ranks)


def refuse_beyond_budget(sites: Sequence[Member]) -> None:
    """Refuse a run before anything is spent unless each site's budget can pay all of its rounds and one more.

    Parameters
    ----------
    sites
        The sites of the run; those in this process are checked.

    Raises
    ------
    LedgerError
        A budget cannot pay; raise ``privacy.budget``.
    """
    for site in sites:
        if isinstance(site, Site) and site.plan is not None:
            site.budget.refuse_beyond(site.plan, more=1)


def personal_adapters(prepared: Federation, run_id: str, published: AdapterState) -> Mapping[str, Personal]:
    """Return how well each site's personal adapter does on the site's held-out records; a site without any is left out.

    Each site trains and is charged as by ``hushtune personalise``; the adapters are not kept.
    """
    found, evaluator = dict[str, Personal](), prepared.measures.evaluator
    for site in prepared.sites:
        own = _own(evaluator, site.site_id)
        if own is None or not isinstance(site, Site):
            continue
        adapter = site.personalise(run_id, published, lambda _: None)
        write_adapter(evaluator.learner.model, adapter)
        epsilon = site.budget.spent().epsilon if site.plan else None
        found[site.site_id] = Personal(own.metrics(own.outcome()), len(own.examples), epsilon)
    return found


def _own(evaluator: Evaluator, site_id: str) -> Evaluator | None:
    """Return the evaluator of one site's held-out records; None if there are none."""
    examples = [each for each, owner in zip(evaluator.examples, evaluator.owners, strict=True) if owner == site_id]
    return replace(evaluator, examples=examples, owners=[site_id] * len(examples), prefix=None) if examples else None
