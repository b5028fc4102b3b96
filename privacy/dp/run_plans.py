"""Make the privacy plan of a site or of a trusted server from a run's config, and calibrate its noise."""

import math
from dataclasses import replace

from privacy.accounting import Accountant
from privacy.dp.plan import PrivacyPlan
from privacy.dp.release import label_counts_event, metrics_event
from privacy.mechanism_event import MechanismEvent
from privacy.secagg.shared_plan import SharedNoise, attempts_of, declared_sizes
from privacy.stability import refuse_unstable
from shared.config.run import RunConfig
from shared.errors import PrivacyError

LARGEST_SHARE = 0.05  # largest noise on one number of the mean of deltas, as a share of the clipping norm


def plan_for_site(config: RunConfig, declared_size: int, accountant: Accountant | None = None) -> PrivacyPlan | None:
    """Make the plan of a site, with its noise calibrated to the config's epsilon.

    Parameters
    ----------
    config
        Configuration of the run.
    declared_size
        Public number of units of the site.
    accountant
        Cache of privacy losses; None makes a new one.

    Returns
    -------
    PrivacyPlan | None
        The plan; None if the site adds no noise (no privacy, or trust ``central``).

    Raises
    ------
    PrivacyError
        No plan meets the target, or a step of the data stage would make its epsilon wrong.
    """
    privacy, training = config.privacy, config.training
    if privacy.trust_in_force in {None, "central"}:
        return None
    refuse_unstable(config)
    shared = SharedNoise.of(config) if privacy.trust_in_force == "distributed" else None
    if shared is not None:  # one plan for all, because a unit at any site is hidden by the noise of the others
        declared_size = max(declared_sizes(config))
    target_delta = privacy.delta_at(declared_size)
    releases = releases_of(config)
    draft = PrivacyPlan(  # runs the checks first, because the search for the noise takes long where they fail
        sampling_rate=training.sampling_rate,
        noise_multiplier=1.0,
        clipping_norm=privacy.clipping_norm,
        steps_per_round=training.steps,
        rounds=attempts_of(config) if shared else training.rounds,
        target_delta=target_delta,
        declared_size=declared_size,
        releases=releases,
        clipping=privacy.clipping,
        unit="person" if privacy.unit == "person" else "record",
        trust="distributed" if shared else "local",
        shared=shared,
    )
    steps, others = draft.steps_per_round * draft.rounds, releases * draft.rounds
    accountant, rate = accountant or Accountant(), training.sampling_rate
    noise = accountant.noise_multiplier(privacy.epsilon, target_delta, rate, steps, others)
    return replace(draft, noise_multiplier=noise)


def plan_for_server(config: RunConfig) -> PrivacyPlan | None:
    """Make the plan of a server that sites trust, with its noise calibrated to the config's epsilon.

    Returns
    -------
    PrivacyPlan | None
        The plan; None without privacy and under other trust models.

    Raises
    ------
    PrivacyError
        No plan meets the target, or so few sites take part that the noise would hide their mean.
    """
    privacy, sites = config.privacy, len(config.data.sites)
    if privacy.trust_in_force != "central":
        return None
    target_delta, rate, rounds = privacy.delta_at(sites), privacy.site_rate, config.training.rounds
    noise = Accountant().noise_multiplier(privacy.epsilon, target_delta, rate, rounds)
    share = noise / (rate * sites)
    if share > LARGEST_SHARE:
        raise PrivacyError(
            f"privacy.trust = 'central': with {sites} sites the noise on each number of the mean would be {share:.0%} "
            f"of the clipping norm (z = {noise:.2f}, {rate * sites:g} sites per round), but more than "
            f"{LARGEST_SHARE:.0%} hides what the sites learn; use about {math.ceil(noise / (rate * LARGEST_SHARE))} "
            "sites, or set privacy.trust = 'local'"
        )
    return PrivacyPlan(rate, noise, privacy.clipping_norm, 1, rounds, target_delta, sites, unit="site", trust="central")


def releases_of(config: RunConfig) -> tuple[MechanismEvent, ...]:
    """Return the mechanism events of everything a round releases in addition to the delta.

    Returns
    -------
    tuple[MechanismEvent, ...]
        Events of noised metrics for the server and of noised label counts for the training itself.
    """
    metrics = (metrics_event(config.privacy),) if config.privacy.release == "metrics" else ()
    counts = (label_counts_event(config.balance),) if config.balance.weights == "counts" else ()
    return (*metrics, *counts)
