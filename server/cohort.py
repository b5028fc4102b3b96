"""Who is asked in a round, whether enough answered, and how long to wait before a round is tried again."""

import time
from collections.abc import Callable, Sequence

from privacy.dp.entropy import uniforms
from privacy.dp.plan import PrivacyPlan
from privacy.dp.sampling import poisson_batches
from shared.config.cohort import CohortSection

LONGEST_PAUSE = 60.0  # seconds


def choose(connected: Sequence[str], cohort: CohortSection, plan: PrivacyPlan | None) -> tuple[str, ...]:
    """Every connected site, in order of name; none when they are fewer than the quorum.

    Under a plan of the server's own each is in with its public chance, independently and secretly (Poisson).
    """
    if len(connected) < cohort.quorum:
        return ()
    sites = sorted(connected)
    if plan is None:
        return tuple(sites)
    [sampled] = poisson_batches(len(sites), plan.sampling_rate, 1, uniforms)
    return tuple(sites[i] for i in sampled)


def has_quorum(connected: int, accepted: int, cohort: CohortSection, plan: PrivacyPlan | None) -> bool:
    """Whether a round with so many accepted replies counts.

    Under a plan of the server's own the sample decides, even an empty one: skipping it would give it away.
    """
    return (accepted if plan is None else connected) >= cohort.quorum


def back_off(attempt: int, cohort: CohortSection) -> float:
    """Seconds to wait after a failed attempt (1, 2, ...): doubling, up to a minute."""
    return float(min(cohort.pause * 2 ** (attempt - 1), LONGEST_PAUSE))


def gather(connected: Callable[[], Sequence[str]], sites: int, patience: float) -> None:
    """Wait until all sites are connected, or ``patience`` seconds are over: a start should not leave out the slow."""
    end = time.monotonic() + patience
    while len(connected()) < sites and time.monotonic() < end:
        time.sleep(0.1)
