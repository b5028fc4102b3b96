"""Audit a run's claim by a run of its own: train one site with canaries, and bound epsilon by what was released."""

import secrets
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from client.data_stage.balance import label_weights
from client.data_stage.site_data import SiteData
from client.exactness import self_check
from client.trainer import train
from client.training_set import training_set
from privacy.accounting import Accountant
from privacy.audit.canaries import Canaries, planted
from privacy.audit.one_run import lower_bound
from privacy.budget import Budget
from privacy.dp.plan import PrivacyPlan
from server.warm_start import start_of
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.ops.findings import write_findings
from shared.ops.progress import Progress, silent
from shared.tasks import load_learner
from shared.tasks.base import Learner
from shared.wire.chain_head import ChainHead
from simulations.planning import site_plans
from simulations.reading import read_sites
from simulations.sites import scrub_sites, site_budget

NAME = "one_run"
FEWEST = 50  # canaries; a bound from fewer says nothing


def audit_run(config: RunConfig, count: int = 1000, progress: Progress = silent) -> Mapping[str, Any]:
    """Train the first site once with canaries, and return the lower bound of epsilon beside the claim.

    The run is charged to the site's ledger like any other, and its adapter is thrown away, because it contains canaries. The
    site trains alone, because an observer who sees each of its steps gains nothing from the other sites.

    Parameters
    ----------
    config
        The run whose engine is audited.
    count
        Number of canaries.
    progress
        Called at the start of the stages.

    Raises
    ------
    HushtuneError
        The run makes no claim that one site's training could refute, the canaries are too few, or the site can't train.
    """
    if config.privacy.trust_in_force != "local":
        raise ConfigError(
            "privacy: hushtune audit run bounds the epsilon of one site's own noise; set privacy.enabled = true and "
            "privacy.trust = 'local' (hushtune audit mechanism meters a shared noise)"
        )
    if count < FEWEST:
        raise ConfigError(f"--canaries {count}: a bound from fewer than {FEWEST} says nothing; plant more")
    folder, accountant = config.run.output / config.run.name, Accountant()
    folder.mkdir(parents=True, exist_ok=True)
    site = config.data.sites[0].id
    plan = site_plans(config, accountant)[site]
    assert plan is not None  # noqa: S101  a run with local privacy has a plan for each site
    data = next(
        each for each in scrub_sites(config, read_sites(config, folder), folder, progress) if each.section.id == site
    )
    learner = load_learner(config.at_site(site))
    canaries = Canaries.drawn(count, sum(p.numel() for p in learner.model.parameters() if p.requires_grad))
    _train(config, learner, data, plan, site_budget(config, data, folder / "audit", accountant), canaries, progress)
    bound, claimed = lower_bound(canaries.included, canaries.scores, plan.target_delta), plan.epsilon(accountant=accountant)
    found = {"config_digest": config.digest(), "site_id": site, "claimed": claimed, "target_delta": plan.target_delta}
    return write_findings(folder, NAME, {**found, **asdict(bound), "refuted": bound.gaussian > claimed})


def _train(
    config: RunConfig,
    learner: Learner,
    data: SiteData,
    plan: PrivacyPlan,
    budget: Budget,
    canaries: Canaries,
    progress: Progress,
) -> None:
    """Train all rounds of the plan with the site's own loop; each round is charged before its first gradient."""
    run_id, site, adapter, moments = f"audit-{secrets.token_hex(8)}", data.section.id, start_of(config, learner), None
    rows = training_set(site, config, data.training.records, learner, data.persons, data.wordings)
    self_check(learner, rows.examples, config.privacy.self_check, config.training.distillation)
    advance = progress("train", plan.rounds)
    for number in range(1, plan.rounds + 1):
        budget.reserve(run_id, number, plan, ChainHead())
        trained = train(
            learner,
            rows,
            adapter,
            config,
            plan,
            round_number=number,
            divisor=plan.expected_batch,
            site_id=site,
            moments=moments,
            label_weights=label_weights(rows, config, private=True),
            engine=partial(planted, canaries),
        )
        budget.commit(run_id, number)
        adapter, moments = adapter.add(trained.delta), trained.moments
        advance(1)
