"""Compute what a run will cost in privacy, from the plan objects that training uses."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from privacy.accounting import Accountant
from privacy.budget import A_RUN_TO_COME
from privacy.dp.plan import PrivacyPlan
from privacy.dp.run_plans import plan_for_server, plan_for_site
from privacy.entries import Entry, read
from privacy.secagg.colluders import colluder_rows
from privacy.spending import Part, parts_of, spent, spent_after
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.models.catalogue import refuse_unknown
from shared.ops.progress import Progress, silent

EVERY_SITE = "all sites"  # in place of a site's name, if a trusted server has the only plan


@dataclass(frozen=True)
class Plans:
    """The privacy plans of a run.

    Attributes
    ----------
    sites
        The plan of each site; None where the site adds no noise.
    server
        The plan of a server that the sites trust, where the server adds the noise.
    """

    sites: Mapping[str, PrivacyPlan | None]
    server: PrivacyPlan | None

    @classmethod
    def of(cls, config: RunConfig, accountant: Accountant | None = None, progress: Progress = silent) -> Self:
        """Make the plans of a config; ``progress`` counts the declared sizes whose noise is calibrated.

        Raises
        ------
        PrivacyError
            No plan meets the target, or so few sites take part that the server's noise would hide their mean.
        """
        return cls(site_plans(config, accountant, progress), plan_for_server(config))


def site_plans(
    config: RunConfig, accountant: Accountant | None = None, progress: Progress = silent
) -> Mapping[str, PrivacyPlan | None]:
    """Return each site's privacy plan; sites of equal declared size share one calibration."""
    sizes = {site.declared_size for site in config.data.sites}
    if config.privacy.trust == "distributed":  # all sites have one plan
        return dict.fromkeys((site.id for site in config.data.sites), plan_for_site(config, max(sizes), accountant))
    advance, by_size = progress("calibrate", len(sizes)), dict[int, PrivacyPlan | None]()
    for size in sorted(sizes):
        by_size[size] = plan_for_site(config, size, accountant)
        advance(1)
    return {site.id: by_size[site.declared_size] for site in config.data.sites}


def _earlier(config: RunConfig, site_id: str) -> tuple[Entry, ...]:
    """Return the entries of the site's lasting ledger, if the config names one and it exists."""
    path = config.privacy.ledger and config.privacy.ledger / site_id / "ledger.jsonl"
    return read(path) if path and path.exists() else ()


def plan_rows(config: RunConfig) -> list[dict[str, Any]]:
    """Return a row for each site: its plan, epsilon by round and with one more round, and what was spent before.

    Raises
    ------
    ConfigError
        The run has no privacy to plan.
    ModelError
        There is no such base model, so the run could not start.
    PrivacyError
        No plan meets the target.
    """
    if not config.privacy.enabled:
        raise ConfigError("privacy.enabled = false: there is no epsilon to plan; this run would have no guarantee at all")
    refuse_unknown(config.model.name)
    rows, accountant, sizes = [], Accountant(), {site.id: site.declared_size for site in config.data.sites}
    made = Plans.of(config, accountant)
    plans = {EVERY_SITE: made.server} if made.server else {site: plan for site, plan in made.sites.items() if plan}
    extended = {plan: replace(plan, rounds=plan.rounds + 1).epsilon_by_round(accountant) for plan in set(plans.values())}
    tables = {plan: _colluders(plan, config, accountant) for plan in extended}
    for site_id, plan in plans.items():
        by_round = extended[plan]
        rows.append(
            {
                "site_id": site_id,
                "declared_size": sizes.get(site_id, plan.declared_size),
                "unit": plan.unit,
                "relation": plan.relation,
                "trust": plan.trust,
                "sampling_rate": plan.sampling_rate,
                "noise_multiplier": plan.noise_multiplier,
                "clipping_norm": plan.clipping_norm,
                "rounds": config.training.rounds,
                "attempts": plan.rounds if plan.shared else None,
                "steps": plan.rounds * plan.steps_per_round,
                "target_delta": plan.target_delta,
                "epsilon": by_round[-2],
                "epsilon_by_round": list(by_round[:-1]),
                "epsilon_one_more_round": by_round[-1],
                "epsilon_none_lost": by_round[config.training.rounds - 1] if plan.shared else None,
                "colluders": tables[plan],
                **_over_all_runs(config, site_id, plan, accountant),
            }
        )
    return rows


def _colluders(plan: PrivacyPlan, config: RunConfig, accountant: Accountant) -> list[dict[str, Any]] | None:
    """Return epsilon by the number of sites that collude with the server; None where sites share no noise."""
    shared = plan.shared
    if shared is None:
        return None
    from client.preflight import shapes_of  # imports transformers, which takes seconds and other plans do not need

    dimension = sum(math.prod(shape) for shape in shapes_of(config).values())
    sums = [plan.shares(dimension, sites) for sites in (shared.fewest, shared.sites)]
    return colluder_rows(sums, plan.events * plan.rounds, plan.target_delta, accountant, accountant)


def _over_all_runs(config: RunConfig, site_id: str, plan: PrivacyPlan, accountant: Accountant) -> dict[str, float]:
    """Return what a record in all of the site's datasets has spent, and would have spent with this run."""
    earlier, budget = _earlier(config, site_id), config.privacy.budget or config.privacy.epsilon
    with_this = parts_of(earlier, Part.to_come(A_RUN_TO_COME, plan, plan.rounds))
    return {
        "spent_before": spent(parts_of(earlier), plan.target_delta, accountant).epsilon,
        "epsilon_ever": spent_after(with_this, budget, plan.target_delta, accountant).epsilon,
        "budget": budget,
    }
