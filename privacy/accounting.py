"""Compute (epsilon, target_delta) from mechanism events by privacy loss distributions, and the noise for a target epsilon.

All figures hold for the neighbouring relation *add or remove one unit*. The claimed epsilon is a pessimistic (upper)
estimate by the PLD accountant of dp-accounting (Doroshenko et al. 2022, arXiv 2207.04380). Renyi accounting (Mironov 2017,
arXiv 1702.07476) gives a second, looser upper bound from independent code, as a cross-check. Central-limit (GDP) figures are
never used, because they lie 4 to 16 % below the true value.

The figures hold for plans that are fixed before anything is released. A run that may have been chosen after earlier results
is accounted by ``privacy/renyi_filter.py``.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, reduce
from typing import Literal

from dp_accounting import GaussianDpEvent, NeighboringRelation, PoissonSampledDpEvent
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.rdp import RdpAccountant
from scipy.optimize import brentq

from shared.errors import PrivacyError
from shared.ops.numbers import delta_up, epsilon_up

# Epsilon charged for each Gaussian sum in addition to its privacy loss, because drawn noise is not exactly a rounded
# Gaussian. By `privacy.dp.noise.rounded_gaussian` the probability of each drawn number equals that of a rounded Gaussian up
# to a factor 1 +- 2 x 17 / std^2 (normalisation included), with std >= 2^32 steps of the grid. For two neighbouring datasets
# and 2^26 numbers per sum this gives 2^26 x 2 x 34 x 2^-64 < 2^-31. Noise beyond 20 standard deviations may never be drawn;
# that adds less than 2^26 x 6e-89 x exp(epsilon) per sum to delta: below float64's rounding of delta if epsilon < 100.
SAMPLING_LOSS = 2.0**-31
CLAIM_GRID = 1e-4  # discretisation of the privacy loss for a claimed epsilon; the default of dp-accounting
SEARCH_GRID = 1e-3  # coarser and therefore more pessimistic: a target met on it is met on the claim's grid too
SMALLEST_NOISE = 1e-2
LARGEST_NOISE = 4000.0  # a mechanism can draw noise up to 2^13 times its sensitivity
# A pessimistic PLD figure may exceed the Renyi bound by the error of its grid. If it exceeds the bound by more than this,
# one of the two accountants is wrong.
CROSS_CHECK_SLACK = 0.02
RENYI_ORDERS = (*range(2, 65), 80, 128, 256, 512)  # integer orders; fractional ones do not converge at small noise

Purpose = Literal["training", "clipping", "label_counts", "metrics"]


@dataclass(frozen=True)
class MechanismEvent:
    """A number of equal releases: ``steps`` Gaussian sums, each over a Poisson sample of the privacy units.

    Training steps, released metrics, label counts and the counts of adaptive clipping are all such sums. ``purpose`` says
    which of them an event is; it does not affect epsilon.

    Attributes
    ----------
    sampling_rate : float
        Probability q of each unit to be in a step, above 0 and at most 1 (1: a sum over all units).
    noise_multiplier : float
        Standard deviation of the noise, divided by the L2 sensitivity of the sum.
    steps : int
        Number of sums, 1 or more.
    purpose : Purpose
        The kind of sum.

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
            raise PrivacyError(
                f"noise multiplier {self.noise_multiplier}: must be above 0, since without noise there is no epsilon"
            )
        if self.steps < 1:
            raise PrivacyError(f"steps {self.steps}: must be at least 1")


def epsilon(events: Iterable[MechanismEvent], target_delta: float, grid: float = CLAIM_GRID) -> float:
    """Return epsilon of all events composed, at ``target_delta``; 0 if there are no events.

    Parameters
    ----------
    events : Iterable[MechanismEvent]
        Mechanism events, in any order.
    target_delta : float
        Delta of the guarantee, above 0 and below 1.
    grid : float
        Discretisation of the privacy loss; a coarser grid is faster and gives a larger epsilon.

    Returns
    -------
    float
        Upper bound of epsilon.

    Raises
    ------
    PrivacyError
        ``target_delta`` is not above 0 and below 1.
    """
    check_delta(target_delta)
    counts = _counted(events)
    return _epsilon_of(_composed(counts, {step: _loss(*step, grid) for step in counts}), counts, target_delta)


class Accountant:
    """Compute epsilon of composed events, and cache the privacy losses of single steps and the results.

    A run needs the epsilon of the same steps when it is planned, before each round, for its report and for its card. Nearly
    all the time goes into the loss of one step, so callers that ask repeatedly should keep one Accountant. With
    ``SEARCH_GRID`` it is about ten times as fast and its figures are slightly larger upper bounds: good enough to look at,
    not for decisions.

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
        """Return the same figure as the function ``epsilon``, from the cache if possible.

        Parameters
        ----------
        events : Iterable[MechanismEvent]
            Mechanism events, in any order.
        target_delta : float
            Delta of the guarantee, above 0 and below 1.

        Returns
        -------
        float
            Upper bound of epsilon; 0 if there are no events.

        Raises
        ------
        PrivacyError
            ``target_delta`` is not above 0 and below 1.
        """
        check_delta(target_delta)
        counts = _counted(events)
        key = frozenset(counts.items()), target_delta
        if key not in self._known:
            for rate, noise in counts.keys() - self._losses.keys():
                self._losses[rate, noise] = _loss(rate, noise, self._grid)
            self._known[key] = _epsilon_of(_composed(counts, self._losses), counts, target_delta)
        return self._known[key]

    def noise_multiplier(self, epsilon: float, target_delta: float, sampling_rate: float, steps: int) -> float:
        """Return a noise multiplier, close to the smallest, that keeps DP-SGD within an epsilon; see ``calibrate``.

        Parameters
        ----------
        epsilon, target_delta
            The guarantee.
        sampling_rate
            Each unit's probability to be in a step (above 0, at most 1).
        steps
            Total number of steps.

        Returns
        -------
        float
            Standard deviation / sensitivity, a multiple of 1e-4.

        Raises
        ------
        PrivacyError
            A number is out of range, or no noise reaches the target.
        """
        if not 0 < epsilon < math.inf:
            raise PrivacyError("epsilon: must be above 0 and finite")
        return calibrate(epsilon, target_delta, sampling_rate, steps, (), self)

    def by_round(self, events: Sequence[MechanismEvent], rounds: int, target_delta: float) -> tuple[float, ...]:
        """Return epsilon after each of the rounds 1 to ``rounds``, cumulative.

        Parameters
        ----------
        events : Sequence[MechanismEvent]
            The mechanism events of one round.
        rounds : int
            Number of rounds.
        target_delta : float
            Delta of the guarantee, above 0 and below 1.

        Returns
        -------
        tuple[float, ...]
            Upper bounds of epsilon, one per round.
        """
        return tuple(self.epsilon(list(events) * count, target_delta) for count in range(1, rounds + 1))

    def cross_checked(self, events: Sequence[MechanismEvent], target_delta: float) -> float:
        """Return the PLD epsilon, after checking that it does not lie above the Renyi bound by more than the grid explains.

        Parameters
        ----------
        events : Sequence[MechanismEvent]
            Mechanism events, in any order.
        target_delta : float
            Delta of the guarantee, above 0 and below 1.

        Returns
        -------
        float
            Upper bound of epsilon by privacy loss distributions.

        Raises
        ------
        PrivacyError
            The two accountants contradict each other, so neither is trusted.
        """
        claimed, bound = self.epsilon(events, target_delta), renyi_epsilon(events, target_delta)
        if claimed > bound * (1 + CROSS_CHECK_SLACK) + CROSS_CHECK_SLACK:
            raise PrivacyError(
                f"two accountants contradict each other (PLD {epsilon_up(claimed)}, Renyi bound {epsilon_up(bound)}), "
                "so no epsilon is claimed; check the versions of dp-accounting against requirements/"
            )
        return claimed


def privacy_profile(events: Iterable[MechanismEvent], epsilons: Sequence[float]) -> tuple[float, ...]:
    """Return the delta of all events composed, at each of several epsilons; 0 if there are no events.

    The figures are upper bounds on the coarser grid, which raises a delta by about 1e-6. That suffices for the limits on
    attacks that are stated in words.

    Parameters
    ----------
    events : Iterable[MechanismEvent]
        Mechanism events, in any order.
    epsilons : Sequence[float]
        Epsilons, 0 or more.

    Returns
    -------
    tuple[float, ...]
        Upper bounds of delta, one per epsilon.
    """
    counts = _counted(events)
    total = _composed(counts, {step: _loss(*step, SEARCH_GRID) for step in counts})
    if total is None:
        return (0.0,) * len(epsilons)
    left = [epsilon - SAMPLING_LOSS * counts.total() for epsilon in epsilons]
    return tuple(min(1.0, max(0.0, float(delta))) for delta in total.get_delta_for_epsilon(left))


def renyi_epsilon(events: Iterable[MechanismEvent], target_delta: float) -> float:
    """Return a second upper bound of epsilon by Renyi accounting (Mironov 2017, arXiv 1702.07476); 0 without events.

    Parameters
    ----------
    events : Iterable[MechanismEvent]
        Mechanism events, in any order.
    target_delta : float
        Delta of the guarantee, above 0 and below 1.

    Raises
    ------
    PrivacyError
        ``target_delta`` is not above 0 and below 1.
    """
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
    """Return a noise multiplier that keeps ``steps`` steps and ``others`` together within the target.

    The search runs on ``SEARCH_GRID``; its result is rounded up to a multiple of 1e-4 and then raised until epsilon on the
    accountant's own grid meets the target too. It may therefore lie slightly above the smallest possible noise multiplier.

    Parameters
    ----------
    target_epsilon : float
        Largest allowed epsilon, above 0.
    target_delta : float
        Delta of the guarantee, above 0 and below 1.
    sampling_rate : float
        Probability q of each unit to be in a step.
    steps : int
        Number of training steps T of the whole run.
    others : Sequence[MechanismEvent]
        All other releases of the whole run, whose noise is fixed.
    accountant : Accountant | None
        Accountant for the last check; None makes a new one.

    Returns
    -------
    float
        Noise multiplier z = standard deviation / sensitivity.

    Raises
    ------
    PrivacyError
        No noise multiplier that the search tries (it stops below ``LARGEST_NOISE``) meets the target.
    """
    check_delta(target_delta)
    accountant = accountant or Accountant()

    def events(noise: float) -> list[MechanismEvent]:
        return [MechanismEvent(sampling_rate, noise, steps), *others]

    @cache
    def excess(log_noise: float) -> float:
        counts = _counted(events(math.exp(log_noise)))
        total = _epsilon_of(_searched(tuple(counts.items())), counts, target_delta)
        return math.log(max(total, 1e-12) / target_epsilon)

    log_noise = _root(excess)
    if log_noise is None:
        together = " together with the other releases of the plan" if others else ""
        raise PrivacyError(
            f"epsilon {epsilon_up(target_epsilon)} at target_delta {delta_up(target_delta)} cannot be reached with {steps} "
            f"steps at sampling rate {sampling_rate}{together}; use fewer steps, a lower rate or fewer releases"
        )
    ticks = math.ceil(math.exp(log_noise) * 1e4)
    while accountant.epsilon(events(ticks / 1e4), target_delta) > target_epsilon:  # until the accountant's grid agrees
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


def check_delta(target_delta: float) -> None:
    """Refuse a delta that is not above 0 and below 1.

    Parameters
    ----------
    target_delta : float
        Delta of a guarantee.

    Raises
    ------
    PrivacyError
        It is out of this range.
    """
    if not 0 < target_delta < 1:
        raise PrivacyError(f"target_delta {target_delta!r}: must be above 0 and below 1")


def _counted(events: Iterable[MechanismEvent]) -> Counter[tuple[float, float]]:
    """Add up the steps by (sampling rate, noise multiplier), because equal mechanisms are composed at once."""
    steps: Counter[tuple[float, float]] = Counter()
    for event in events:
        steps[event.sampling_rate, event.noise_multiplier] += event.steps
    return steps


def _epsilon_of(
    total: pld.PrivacyLossDistribution | None, counts: Counter[tuple[float, float]], target_delta: float
) -> float:
    """Return epsilon of a composed loss at ``target_delta``, plus the charge for the inexact noise of each sum."""
    return float(total.get_epsilon_for_delta(target_delta)) + SAMPLING_LOSS * counts.total() if total else 0.0


def _composed(
    counts: Mapping[tuple[float, float], int], losses: Mapping[tuple[float, float], pld.PrivacyLossDistribution]
) -> pld.PrivacyLossDistribution | None:
    """Compose ``counts[step]`` steps of each kind; None without any step."""
    each = [losses[step].self_compose(count) for step, count in counts.items()]
    return reduce(lambda one, other: one.compose(other), each) if each else None


@lru_cache(maxsize=32)
def _searched(counts: tuple[tuple[tuple[float, float], int], ...]) -> pld.PrivacyLossDistribution | None:
    """Return the composed loss on ``SEARCH_GRID``, which serves every delta.

    All searches begin with the same noise, so that sites which differ by their delta share the first losses. The order of
    the counts is kept, because another order of composition could round differently.
    """
    return _composed(Counter(dict(counts)), {step: _loss(*step, SEARCH_GRID) for step, _ in counts})


def _loss(sampling_rate: float, noise_multiplier: float, grid: float) -> pld.PrivacyLossDistribution:
    """Return the privacy loss distribution of one step, for adding or removing one unit."""
    return pld.from_gaussian_mechanism(
        noise_multiplier,
        value_discretization_interval=grid,
        sampling_prob=sampling_rate,
        neighboring_relation=NeighboringRelation.ADD_OR_REMOVE_ONE,
    )
