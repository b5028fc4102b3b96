"""From mechanism events to (epsilon, target_delta), by privacy loss distributions; and back to a noise multiplier.

Every figure is for the neighbouring relation *add or remove one unit*. The claim is a pessimistic (upper) estimate by
dp-accounting's PLD accountant (Doroshenko et al. 2022, arXiv 2207.04380). Renyi accounting (Mironov 2017, arXiv
1702.07476) gives a second upper bound, looser and by other code, as a cross-check. Central-limit (GDP) figures are never
used: they lie 4 to 16 % below the true value.

These figures hold for plans that are fixed before anything is released. Runs that were chosen after earlier results are
counted by ``privacy/renyi_filter.py``.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from typing import Literal

from dp_accounting import GaussianDpEvent, NeighboringRelation, PoissonSampledDpEvent
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.rdp import RdpAccountant
from scipy.optimize import brentq

from shared.errors import PrivacyError
from shared.ops.numbers import delta_up, epsilon_up

# Epsilon that each Gaussian sum costs beside its privacy loss, since drawn noise is not exactly a rounded Gaussian. By
# `privacy.dp.noise.rounded_gaussian` the probability of each drawn number is that of a rounded Gaussian within a factor
# 1 +- 2 x 17 / std^2 (its normalisation included), with std >= 2^32 steps of the grid. Two neighbours and 2^26 numbers a
# sum make 2^26 x 2 x 34 x 2^-64 < 2^-31. What is never drawn, beyond 20 standard deviations, adds to delta less than
# 2^26 x 6e-89 x exp(epsilon) a sum, which is below the rounding of any delta in float64 while epsilon is below 100.
SAMPLING_LOSS = 2.0**-31
CLAIM_GRID = 1e-4  # value discretisation of a claim; dp-accounting's own default
SEARCH_GRID = 1e-3  # coarser, so pessimistic: what meets the target on it meets it on the claim's grid too
SMALLEST_NOISE = 1e-2
LARGEST_NOISE = 4000.0  # a mechanism can draw up to 2^13
# A pessimistic PLD figure may lie above Renyi's by its grid; by more than this the two cannot both be bounds of one loss.
CROSS_CHECK_SLACK = 0.02
RENYI_ORDERS = (*range(2, 65), 80, 128, 256, 512)  # whole orders: the fractional ones do not converge at small noise

Purpose = Literal["training", "clipping", "label_counts", "metrics"]


@dataclass(frozen=True)
class MechanismEvent:
    """A run of equal releases: ``steps`` Gaussian sums over a Poisson sample of the units.

    Training steps, released metrics, label counts and the counts of adaptive clipping are all such sums.

    Attributes
    ----------
    sampling_rate
        Each unit's chance to be in a step (above 0; 1 is a sum over all units).
    noise_multiplier
        The noise's standard deviation in units of the L2 bound of one unit's share of the sum.
    steps
        How many such sums.
    purpose
        What the sums are for; changes no figure.

    Examples
    --------
    >>> from hushtune import Accountant, MechanismEvent
    >>> event = MechanismEvent(sampling_rate=0.01, noise_multiplier=1.0, steps=1000)
    >>> 1 < Accountant().epsilon([event], target_delta=1e-5) < 3
    True
    """

    sampling_rate: float
    noise_multiplier: float
    steps: int
    purpose: Purpose = "training"

    def __post_init__(self) -> None:
        if not 0 < self.sampling_rate <= 1:
            raise PrivacyError(f"sampling rate {self.sampling_rate}: must be above 0 and at most 1")
        if not (self.noise_multiplier > 0 and math.isfinite(self.noise_multiplier)):
            raise PrivacyError(f"noise multiplier {self.noise_multiplier}: must be above 0; no noise has no epsilon")
        if self.steps < 1:
            raise PrivacyError(f"steps {self.steps}: must be at least 1")


def epsilon(events: Iterable[MechanismEvent], target_delta: float, grid: float = CLAIM_GRID) -> float:
    """The epsilon of all events composed, at ``target_delta``; 0 when nothing was released.

    Raises:
        PrivacyError: target_delta is not between 0 and 1.
    """
    check_delta(target_delta)
    counts = _counted(events)
    return _epsilon_of(_composed(counts, {step: _loss(*step, grid) for step in counts}), counts, target_delta)


class Accountant:
    """Say what mechanism events cost together, and which noise keeps them within an epsilon.

    It remembers the losses of steps and the sums that it was asked for, because nearly all the time goes into the loss of a
    step: whoever asks often keeps one accountant.

    Parameters
    ----------
    grid
        Discretisation of the privacy loss. On the coarser ``SEARCH_GRID`` it is ten times as fast and never says less;
        that is for figures to look at, not for decisions.

    Examples
    --------
    >>> from hushtune import Accountant, MechanismEvent, PrivacyPlan
    >>> accountant = Accountant()
    >>> noise = accountant.noise_multiplier(epsilon=3.0, target_delta=1e-5, sampling_rate=0.01, steps=1000)
    >>> event = MechanismEvent(sampling_rate=0.01, noise_multiplier=noise, steps=1000)
    >>> 2.9 < accountant.epsilon([event], target_delta=1e-5) <= 3.0
    True
    >>> plan = PrivacyPlan.of(declared_size=2000, sampling_rate=0.05, steps=200, noise_multiplier=1.0)
    >>> accountant.epsilon([event, *plan.events], target_delta=1e-5) > 3.0  # two trainings on the same records
    True
    """

    def __init__(self, grid: float = CLAIM_GRID) -> None:
        self._grid = grid
        self._losses: dict[tuple[float, float], pld.PrivacyLossDistribution] = {}
        self._known: dict[tuple[frozenset[tuple[tuple[float, float], int]], float], float] = {}

    def epsilon(self, events: Iterable[MechanismEvent], target_delta: float) -> float:
        """Return the epsilon of all events composed; 0 when nothing was released.

        Parameters
        ----------
        events
            Releases from the same records, in any order.
        target_delta
            Delta of the guarantee (above 0, below 1).

        Raises
        ------
        PrivacyError
            ``target_delta`` is out of range.
        """
        check_delta(target_delta)
        counts = _counted(events)
        asked = frozenset(counts.items()), target_delta
        if asked not in self._known:
            for rate, noise in counts.keys() - self._losses.keys():
                self._losses[rate, noise] = _loss(rate, noise, self._grid)
            self._known[asked] = _epsilon_of(_composed(counts, self._losses), counts, target_delta)
        return self._known[asked]

    def noise_multiplier(self, epsilon: float, target_delta: float, sampling_rate: float, steps: int) -> float:
        """Return the smallest noise multiplier, rounded up to 1e-4, that keeps DP-SGD within an epsilon.

        Parameters
        ----------
        epsilon, target_delta
            The guarantee.
        sampling_rate
            Each unit's chance to be in a step (above 0, at most 1).
        steps
            Steps in all.

        Raises
        ------
        PrivacyError
            A number is out of range, or no noise reaches the target.
        """
        if not 0 < epsilon < math.inf:
            raise PrivacyError("epsilon: must be above 0 and finite")
        return calibrate(epsilon, target_delta, sampling_rate, steps, (), self)

    def by_round(self, events: Sequence[MechanismEvent], rounds: int, target_delta: float) -> tuple[float, ...]:
        """Epsilon after each of 1 to ``rounds`` rounds that release ``events`` each."""
        return tuple(self.epsilon(list(events) * count, target_delta) for count in range(1, rounds + 1))

    def cross_checked(self, events: Sequence[MechanismEvent], target_delta: float) -> float:
        """The claim, once Renyi's bound has been seen not to lie below it.

        Raises:
            PrivacyError: the two accountants contradict each other, so neither is believed.
        """
        claimed, bound = self.epsilon(events, target_delta), renyi_epsilon(events, target_delta)
        if claimed > bound * (1 + CROSS_CHECK_SLACK) + CROSS_CHECK_SLACK:
            raise PrivacyError(
                f"two accountants contradict each other (PLD {epsilon_up(claimed)}, Renyi bound {epsilon_up(bound)}), "
                "so no epsilon is claimed; check the versions of dp-accounting against requirements/"
            )
        return claimed


def privacy_profile(events: Iterable[MechanismEvent], epsilons: Sequence[float]) -> tuple[float, ...]:
    """The delta of all events composed at each of ``epsilons``, never below the true one; 0 when nothing was released.

    It is for limits in words, so it takes the coarser grid, which moves a share by some 1e-6, upwards.
    """
    counts = _counted(events)
    total = _composed(counts, {step: _loss(*step, SEARCH_GRID) for step in counts})
    if total is None:
        return (0.0,) * len(epsilons)
    left = [epsilon - SAMPLING_LOSS * counts.total() for epsilon in epsilons]
    return tuple(min(1.0, max(0.0, float(delta))) for delta in total.get_delta_for_epsilon(left))


def renyi_epsilon(events: Iterable[MechanismEvent], target_delta: float) -> float:
    """A second upper bound of the same loss, by Renyi accounting; 0 when nothing was released."""
    check_delta(target_delta)
    accountant = RdpAccountant(RENYI_ORDERS, NeighboringRelation.ADD_OR_REMOVE_ONE)
    counts = _counted(events)
    for (rate, noise), steps in counts.items():
        accountant.compose(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), steps)
    return float(accountant.get_epsilon(target_delta)) + SAMPLING_LOSS * counts.total() if counts else 0.0


def calibrate(
    target_epsilon: float,
    target_delta: float,
    sampling_rate: float,
    steps: int,
    others: Sequence[MechanismEvent] = (),
    accountant: Accountant | None = None,
) -> float:
    """The smallest noise multiplier, rounded up to 1e-4, that keeps ``steps`` steps and ``others`` within the target.

    Raises:
        PrivacyError: no noise multiplier up to 10,000 reaches the target, or the others alone exceed it.
    """
    accountant = accountant or Accountant()

    def events(noise: float) -> list[MechanismEvent]:
        return [MechanismEvent(sampling_rate, noise, steps), *others]

    @cache
    def excess(log_noise: float) -> float:
        total = epsilon(events(math.exp(log_noise)), target_delta, SEARCH_GRID)
        return math.log(max(total, 1e-12) / target_epsilon)

    log_noise = _root(excess)
    if log_noise is None:
        beside = " beside the other releases of the plan" if others else ""
        raise PrivacyError(
            f"epsilon {epsilon_up(target_epsilon)} at target_delta {delta_up(target_delta)} is out of reach for {steps} "
            f"steps at sampling rate {sampling_rate}{beside}; take fewer steps, a lower rate or fewer releases"
        )
    ticks = math.ceil(math.exp(log_noise) * 1e4)
    while accountant.epsilon(events(ticks / 1e4), target_delta) > target_epsilon:  # until the claim's own grid agrees
        ticks += 1
    return ticks / 1e4


def _root(excess: Callable[[float], float]) -> float | None:
    """Where a falling function of the log noise reaches 0, or the least noise; None where the most does not suffice."""
    low = high = math.log(2.0)
    while excess(high) > 0:
        low, high = high, high + 0.7
        if high > math.log(LARGEST_NOISE):
            return None
    while excess(low) <= 0 and low > math.log(SMALLEST_NOISE):  # in short steps: the less noise, the longer a loss takes
        low, high = low - 0.35, low
    return low if excess(low) <= 0 else float(brentq(excess, low, high, xtol=1e-5))


def check_delta(target_delta: float) -> None:
    """Refuse a delta that is no chance.

    Raises:
        PrivacyError: it is not above 0 and below 1.
    """
    if not 0 < target_delta < 1:
        raise PrivacyError(f"target_delta {target_delta!r}: must be above 0 and below 1")


def _counted(events: Iterable[MechanismEvent]) -> Counter[tuple[float, float]]:
    """Steps by (sampling rate, noise multiplier): equal mechanisms compose in one go."""
    steps: Counter[tuple[float, float]] = Counter()
    for event in events:
        steps[event.sampling_rate, event.noise_multiplier] += event.steps
    return steps


def _epsilon_of(
    total: pld.PrivacyLossDistribution | None, counts: Counter[tuple[float, float]], target_delta: float
) -> float:
    """Return epsilon at ``target_delta`` of a composed loss of so many sums, with what drawing their noise costs."""
    return float(total.get_epsilon_for_delta(target_delta)) + SAMPLING_LOSS * counts.total() if total else 0.0


def _composed(
    counts: Mapping[tuple[float, float], int], losses: Mapping[tuple[float, float], pld.PrivacyLossDistribution]
) -> pld.PrivacyLossDistribution | None:
    """So many steps of each kind, composed."""
    each = [losses[step].self_compose(count) for step, count in counts.items()]
    return reduce(lambda one, other: one.compose(other), each) if each else None


def _loss(sampling_rate: float, noise_multiplier: float, grid: float) -> pld.PrivacyLossDistribution:
    """The privacy loss of one step under adding or removing one unit."""
    return pld.from_gaussian_mechanism(
        noise_multiplier,
        value_discretization_interval=grid,
        sampling_prob=sampling_rate,
        neighboring_relation=NeighboringRelation.ADD_OR_REMOVE_ONE,
    )
