"""Find the least noise that keeps a whole run within a target epsilon."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

from dp_accounting.pld import privacy_loss_distribution as pld
from scipy.optimize import brentq

from privacy.mechanism_event import MechanismEvent
from privacy.privacy_loss import ROUNDING_LOSS, SEARCH_GRID, check_delta, composed, counted, epsilon_of
from privacy.step_loss import loss_of_step
from shared.errors import PrivacyError
from shared.ops.numbers import delta_up, epsilon_up

SMALLEST_NOISE = 1e-2  # a mechanism can draw noise down to 2^-8 times its sensitivity
LARGEST_NOISE = 4000.0  # and up to 2^13 times


def calibrate(
    target_epsilon: float,
    target_delta: float,
    sampling_rate: float,
    steps: int,
    others: Sequence[MechanismEvent],
    claimed: Callable[[Sequence[MechanismEvent], float], float],
) -> float:
    """Return a noise multiplier that keeps ``steps`` steps and ``others`` together within the target.

    The search runs on ``SEARCH_GRID``; its result is rounded up to a multiple of 1e-4 and then raised until the claimed
    epsilon, which is computed on a finer grid, meets the target too. It may therefore lie slightly above the smallest
    possible noise multiplier.

    Parameters
    ----------
    target_epsilon
        Largest allowed epsilon, above 0.
    target_delta
        Delta of the guarantee, above 0 and below 1.
    sampling_rate
        Probability q of each unit to be in a step.
    steps
        Number of training steps T of the whole run.
    others
        All other releases of the whole run, whose noise is fixed.
    claimed
        Returns the epsilon that is claimed for events at a delta; the last check uses it.

    Returns
    -------
    float
        Noise multiplier z = standard deviation / sensitivity.

    Raises
    ------
    PrivacyError
        No noise multiplier that the search tries (it stops below ``LARGEST_NOISE``) meets the target, or ``target_delta`` is
        below what rounding may add to the delta of so many steps.
    """
    check_delta(target_delta)
    sums = steps + sum(event.steps for event in others)
    if target_delta <= ROUNDING_LOSS * sums:
        raise PrivacyError(
            f"target_delta {delta_up(target_delta)}: no epsilon of {sums} steps can be computed at so small a delta, "
            f"because rounding may account for {delta_up(ROUNDING_LOSS * sums)}; set a larger one, or use fewer steps"
        )

    def events(noise: float) -> list[MechanismEvent]:
        return [MechanismEvent(sampling_rate, noise, steps), *others]

    @cache
    def excess(log_noise: float) -> float:
        counts = counted(events(math.exp(log_noise)))
        total = epsilon_of(_searched(tuple(counts.items())), counts, target_delta)
        return math.log(max(total, 1e-12) / target_epsilon)

    log_noise = _root(excess)
    if log_noise is None:
        together = " together with the other releases of the plan" if others else ""
        raise PrivacyError(
            f"epsilon {epsilon_up(target_epsilon)} at target_delta {delta_up(target_delta)} cannot be reached with {steps} "
            f"steps at sampling rate {sampling_rate}{together}; use fewer steps, a lower rate or fewer releases"
        )
    ticks = math.ceil(math.exp(log_noise) * 1e4)
    while claimed(events(ticks / 1e4), target_delta) > target_epsilon:
        ticks += 1
    return ticks / 1e4


def _root(excess: Callable[[float], float]) -> float | None:
    """Find where a decreasing function of log(noise) reaches 0.

    Return the smallest tried value if the function is not above 0 there, and None if it is above 0 at the largest.
    """
    low = high = math.log(2.0)
    while excess(high) > 0:
        low, high = high, high + 0.7
        if high > math.log(LARGEST_NOISE):
            return None
    smallest = math.log(SMALLEST_NOISE)
    while excess(low) <= 0 and low > smallest:
        low, high = low - 0.35, low  # in short steps, because a loss takes longer to compute with less noise
    return low if excess(low) <= 0 else float(brentq(excess, low, high, xtol=1e-5))


@lru_cache(maxsize=32)
def _searched(counts: tuple[tuple[tuple[float, float], int], ...]) -> pld.PrivacyLossDistribution | None:
    """Return the composed loss on ``SEARCH_GRID``, which serves every delta.

    All searches begin with the same noise, so that sites which differ by their delta share the first losses. The order of
    the counts is kept, because another order of composition could round differently.
    """
    return composed(Counter(dict(counts)), {step: loss_of_step(*step, SEARCH_GRID) for step, _ in counts})
