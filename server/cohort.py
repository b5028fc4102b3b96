"""Choose the sites of a round, check its quorum, and pause before a round is tried again."""

import time
from collections.abc import Callable, Collection, Sequence

from privacy.dp.entropy import uniforms
from privacy.dp.plan import PrivacyPlan
from privacy.dp.sampling import poisson_batches
from shared.config.cohort import CohortSection
from shared.config.run import RunConfig
from shared.seeds import stream

LONGEST_PAUSE = 60.0  # seconds


def choose(connected: Sequence[str], cohort: CohortSection, plan: PrivacyPlan | None) -> tuple[str, ...]:
    """Return the sites to ask, sorted by name: all connected sites, or none if they are too few for the quorum or a sum.

    Under a plan of the server's own, each site is chosen with the plan's public probability, independently of the others,
    and the choice is secret (Poisson sampling).

    Parameters
    ----------
    connected
        The sites that are connected now.
    cohort
        The run's ``[cohort]`` section.
    plan
        The server's own privacy plan, or the plan of all sites, if they share one noise; else None.
    """
    shared = plan.shared if plan is not None else None
    if len(connected) < (shared.fewest if shared else cohort.quorum):  # a sum has at least the quorum
        return ()
    sites = sorted(connected)
    if plan is None or plan.trust != "central":
        return tuple(sites)
    [sampled] = poisson_batches(len(sites), plan.sampling_rate, 1, uniforms)
    return tuple(sites[i] for i in sampled)


def drawn(sites: Sequence[str], config: RunConfig, number: int, attempt: int) -> tuple[str, ...]:
    """Return the sites of a public sample, sorted by name; all of them if the run has none.

    Everybody who knows the seed knows the sample, so no privacy is claimed for it: each site is charged in full for each
    round in which it is asked. Each attempt at a round draws anew, because a site of the previous attempt may have failed.

    Parameters
    ----------
    sites
        The sites that could be asked.
    config
        The run.
    number, attempt
        Number of the round, and of the attempt at the round, from 1.
    """
    if config.cohort.sample is None or config.cohort.sample >= len(sites):
        return tuple(sites)
    chosen = stream(config.run.seed, "cohort", number, attempt).permutation(len(sites))[: config.cohort.sample]
    return tuple(sorted(sites[place] for place in chosen))


def without(connected: Sequence[str], owing: Collection[str], plan: PrivacyPlan | None) -> tuple[str, ...]:
    """Leave out sites that made an attempt at a secure sum void, which all others have charged, if enough others are left.

    Parameters
    ----------
    connected
        The sites that are connected now.
    owing
        The sites from which an earlier attempt at the round lacked a vector.
    plan
        The plan of the sites, if they share one noise.
    """
    others = tuple(site for site in connected if site not in owing)
    enough = plan is not None and plan.shared is not None and len(others) >= plan.shared.fewest
    return others if enough else tuple(connected)


def bound_to(connected: Sequence[str], bound: Sequence[str]) -> tuple[str, ...]:
    """Return the sites that a round of secure sums is bound to, or none if one of them is not connected.

    Parameters
    ----------
    connected
        The sites that are connected now.
    bound
        The sites that were asked for vectors of their stored deltas in an earlier attempt at the round.
    """
    return tuple(sorted(bound)) if set(bound) <= set(connected) else ()


def has_quorum(connected: int, accepted: int, cohort: CohortSection, plan: PrivacyPlan | None) -> bool:
    """Return whether a round with so many accepted replies counts.

    Under a plan of the server's own every sample counts, even an empty one: to skip it would reveal that it was empty.

    Parameters
    ----------
    connected
        Number of sites that were connected at the start of the round.
    accepted
        Number of accepted replies.
    cohort
        The run's ``[cohort]`` section.
    plan
        The server's own privacy plan, or the plan of all sites, if they share one noise; else None.
    """
    return (connected if plan is not None and plan.trust == "central" else accepted) >= cohort.quorum


def back_off(attempt: int, cohort: CohortSection) -> float:
    """Return the seconds to wait after a failed attempt (1, 2, ...): doubled each time, up to a minute."""
    return float(min(cohort.pause * 2 ** (attempt - 1), LONGEST_PAUSE))


def gather(
    connected: Callable[[], Sequence[str]],
    sites: Sequence[str],
    cohort: CohortSection,
    tell: Callable[[Sequence[str]], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until all sites are connected, or a quorum is and the run's patience is over; for a quorum there is no limit.

    Parameters
    ----------
    connected
        Returns the sites that are connected now.
    sites
        All sites of the run.
    cohort
        The run's ``[cohort]`` section.
    tell
        Called with the sites that are missing, each time when they have changed while no quorum is connected.
    sleep
        Waits between two looks.
    """
    end, told = time.monotonic() + cohort.patience, None
    while True:
        here = set(connected())
        missing = [site for site in sites if site not in here]
        if not missing or (len(here) >= cohort.quorum and time.monotonic() >= end):
            return
        if len(here) < cohort.quorum and missing != told:
            tell(missing)
            told = missing
        sleep(0.1)
