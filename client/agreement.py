"""Refuse a site whose records, privacy plan or rank do not agree with the run that it is set up for."""

from collections.abc import Mapping

from privacy.dp.plan import PrivacyPlan
from privacy.dp.run_plans import releases_of
from privacy.secagg.shared_plan import SharedNoise, attempts_of, declared_sizes
from shared.config.run import RunConfig
from shared.errors import ConfigError, DataError, PrivacyError

MOST_UNITS = 2  # in declared sizes; the noise covers the rounding errors of so many units (docs/engine.md)


def refuse_wrong_size(units: int, config: RunConfig, declared_size: int, site_id: str) -> None:
    """Refuse a site with too few units, and under privacy one with far more than the noise is made for."""
    name = "persons" if config.privacy.unit == "person" else "records"
    if units < config.cohort.min_records:
        raise DataError(
            f"site {site_id}: has fewer usable training {name} than cohort.min_records = {config.cohort.min_records}; "
            "add records, correct quarantined ones, or lower the bound"
        )
    if config.privacy.enabled and units > MOST_UNITS * declared_size:
        raise DataError(
            f"site {site_id}: has more than {MOST_UNITS} times as many usable training {name} as its declared size of "
            f"{declared_size}, for which the noise is made; declare a size near the true number, or give fewer {name}"
        )


def refuse_other_plan(plan: PrivacyPlan | None, config: RunConfig, declared_size: int, site_id: str) -> None:
    """Refuse a plan that does not match the config, because what runs and what is accounted must be the same."""
    training, privacy = config.training, config.privacy
    shared = SharedNoise.of(config) if privacy.trust_in_force == "distributed" else None
    asked = (
        (training.sampling_rate, training.steps, attempts_of(config) if shared else training.rounds),
        (privacy.clipping, privacy.clipping_norm, max(declared_sizes(config)) if shared else declared_size),
        (privacy.unit, releases_of(config), privacy.trust, shared),
    )
    planned = plan and (
        (plan.sampling_rate, plan.steps_per_round, plan.rounds),
        (plan.clipping, plan.clipping_norm, plan.declared_size),
        (plan.unit, plan.releases, plan.trust, plan.shared),
    )
    if planned != (asked if privacy.trust_in_force in {"local", "distributed"} else None):
        raise PrivacyError(f"site {site_id}: its privacy plan is not that of this run; make it with plan_for_site")


def refuse_unless_personal(config: RunConfig, ranks: Mapping[str, int]) -> None:
    """Refuse a run after which sites that train these ranks cannot train personal adapters.

    Raises
    ------
    ConfigError
        Names the field that prevents personal adapters.
    """
    if config.adversary is not None:
        raise ConfigError("personal adapters: adversary: its part of the adapter is not published; choose a run without one")
    for site, rank in ranks.items():
        if rank != config.adapter.rank:
            raise ConfigError(
                f"personal adapters: data.sites.rank: site {site} trains with rank {rank}, so its model does not take the "
                f"published adapter of rank {config.adapter.rank}; choose a run of one rank"
            )
    if config.privacy.trust_in_force in {"central", "distributed"}:
        raise ConfigError(
            f"personal adapters: privacy.trust = '{config.privacy.trust}': no site adds noise of its own, so a personal "
            "adapter would have none; choose a run with trust 'local'"
        )
