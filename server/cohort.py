"""Who is asked in a round, whether enough answered, and how long to wait before a round is tried again."""

import time
from collections.abc import Callable, Sequence

from shared.sections import CohortSection

LONGEST_PAUSE = 60.0  # seconds


def choose(connected: Sequence[str], cohort: CohortSection) -> tuple[str, ...]:
    """Every connected site, in order of name; none when they are fewer than the quorum."""
    return tuple(sorted(connected)) if len(connected) >= cohort.quorum else ()


def has_quorum(accepted: int, cohort: CohortSection) -> bool:
    """Whether a round with so many accepted replies counts."""
    return accepted >= cohort.quorum


def back_off(attempt: int, cohort: CohortSection) -> float:
    """Seconds to wait after a failed attempt (1, 2, ...): doubling, up to a minute."""
    return float(min(cohort.pause * 2 ** (attempt - 1), LONGEST_PAUSE))


def gather(connected: Callable[[], Sequence[str]], sites: int, patience: float) -> None:
    """Wait until all sites are connected, or ``patience`` seconds are over: a start should not leave out the slow."""
    end = time.monotonic() + patience
    while len(connected()) < sites and time.monotonic() < end:
        time.sleep(0.1)
