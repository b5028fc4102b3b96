"""Who is asked in a round, and whether enough answered."""

from collections.abc import Sequence

from shared.sections import CohortSection


def choose(connected: Sequence[str], cohort: CohortSection) -> tuple[str, ...]:
    """Every connected site, in order of name; none when they are fewer than the quorum."""
    return tuple(sorted(connected)) if len(connected) >= cohort.quorum else ()


def has_quorum(accepted: int, cohort: CohortSection) -> bool:
    """Whether a round with so many accepted replies counts."""
    return accepted >= cohort.quorum
