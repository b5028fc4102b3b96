"""Compose the privacy losses of mechanism events as distributions (PLD; Doroshenko et al. 2022, arXiv 2207.04380).

Every figure is pessimistic: an upper bound for the neighbouring relation *add or remove one unit*.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import reduce

from dp_accounting.pld import privacy_loss_distribution as pld

from privacy.dense_loss import epsilon_at, self_composed
from privacy.mechanism_event import MechanismEvent
from shared.errors import PrivacyError

# Epsilon charged for each Gaussian sum in addition to its privacy loss, because drawn noise is not exactly a rounded
# Gaussian. By `privacy.dp.noise.rounded_gaussian` the probability of each drawn number equals that of a rounded Gaussian up
# to a factor 1 +- 2 x 17 / std^2 (normalisation included), with std >= 2^32 steps of the grid. For two neighbouring datasets
# and 2^26 numbers per sum this gives 2^26 x 2 x 34 x 2^-64 < 2^-31. Noise beyond 20 standard deviations may never be drawn;
# that adds less than 2^26 x 6e-89 x exp(epsilon) per sum to delta: below float64's rounding of delta if epsilon < 100.
SAMPLING_LOSS = 2.0**-31
# Delta charged for each Gaussian sum, because a composition in float64 is rounded, which can lower its divergence. Compared
# with the same composition in long doubles, for plans of 2 to a million steps, the divergence was up to 2.3e-16 too low for
# each step; eight times as much is charged. The divergence of one step is off by a few 1e-16, and composing steps adds these
# errors up. Without this charge, 10,000 steps of noise 100 had epsilon 7.233 at delta 1e-12, and the true one is 7.238.
ROUNDING_LOSS = 2.0**-49
CLAIM_GRID = 1e-4  # discretisation of the privacy loss for a claimed epsilon; the default of dp-accounting
SEARCH_GRID = 1e-3  # coarser and therefore more pessimistic: a target met on it is met on the claim's grid too


def check_delta(target_delta: float) -> None:
    """Refuse a delta that is not above 0 and below 1."""
    if not 0 < target_delta < 1:
        raise PrivacyError(f"target_delta {target_delta!r}: must be above 0 and below 1")


def check_grid(grid: float) -> None:
    """Refuse a discretisation of the privacy loss that is not above 0 and at most 1.

    Parameters
    ----------
    grid
        Distance of the points at which a loss is computed.

    Raises
    ------
    PrivacyError
        It is out of this range.
    """
    if not 0 < grid <= 1:
        raise PrivacyError(f"grid {grid!r}: must be above 0 and at most 1")


def counted(events: Iterable[MechanismEvent]) -> Counter[tuple[float, float]]:
    """Add up the steps by (sampling rate, noise multiplier), because equal mechanisms are composed at once."""
    steps: Counter[tuple[float, float]] = Counter()
    for event in events:
        steps[event.sampling_rate, event.noise_multiplier] += event.steps
    return steps


def epsilon_of(
    total: pld.PrivacyLossDistribution | None, counts: Counter[tuple[float, float]], target_delta: float
) -> float:
    """Return epsilon of a composed loss at ``target_delta``, plus the charges for inexact noise and for rounding.

    Infinite if rounding alone may account for ``target_delta``.
    """
    if total is None:
        return 0.0
    left = target_delta - ROUNDING_LOSS * counts.total()
    return epsilon_at(total, left) + SAMPLING_LOSS * counts.total() if left > 0 else math.inf


def composed(
    counts: Mapping[tuple[float, float], int], losses: Mapping[tuple[float, float], pld.PrivacyLossDistribution]
) -> pld.PrivacyLossDistribution | None:
    """Compose ``counts[step]`` steps of each kind; None without any step.

    A step that occurs once is used as it is, because `self_composed` would take half a second where the noise is small.
    """
    each = [losses[step] if count == 1 else self_composed(losses[step], count) for step, count in counts.items()]
    return reduce(lambda one, other: one.compose(other), each) if each else None
