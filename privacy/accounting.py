"""Compute (epsilon, target_delta) from mechanism events by privacy loss distributions, and the noise for a target epsilon.

All figures hold for the neighbouring relation *add or remove one unit*. The claimed epsilon is a pessimistic (upper)
estimate by the PLD accountant of dp-accounting (Doroshenko et al. 2022, arXiv 2207.04380). Renyi accounting (Mironov 2017,
arXiv 1702.07476) gives a second, looser upper bound from independent code, as a cross-check. Central-limit (GDP) figures are
never used, because they lie 3 to 16 % below the true value.

The figures hold for plans that are fixed before anything is released. A run that may have been chosen after earlier results
is accounted by ``privacy/renyi_filter.py``.
"""

import math
from collections.abc import Iterable, Sequence

from dp_accounting import GaussianDpEvent, NeighboringRelation, PoissonSampledDpEvent
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.rdp import RdpAccountant

from privacy.calibration import calibrate
from privacy.dense_loss import deltas_at
from privacy.mechanism_event import MechanismEvent
from privacy.privacy_loss import (
    CLAIM_GRID,
    ROUNDING_LOSS,
    SAMPLING_LOSS,
    SEARCH_GRID,
    check_delta,
    check_grid,
    composed,
    counted,
    epsilon_of,
)
from privacy.step_loss import loss_of_step
from shared.errors import PrivacyError
from shared.ops.numbers import epsilon_up

# A pessimistic PLD figure may exceed the Renyi bound by the error of its grid. If it exceeds the bound by more than this,
# one of the two accountants is wrong.
CROSS_CHECK_SLACK = 0.02
RENYI_ORDERS = (*range(2, 65), 80, 128, 256, 512)  # integer orders; fractional ones do not converge at small noise


class Accountant:
    """Compute epsilon of composed events, and cache the privacy losses of single steps and the results.

    A run needs the epsilon of the same steps when it is planned, before each round, for its report and for its card. Nearly
    all the time goes into the loss of one step, so callers that ask repeatedly should keep one Accountant.

    Parameters
    ----------
    grid
        Discretisation of the privacy loss. With ``SEARCH_GRID`` an Accountant is about ten times as fast as with
        ``CLAIM_GRID``, and its figures are slightly larger upper bounds: good for an overview, too loose for decisions.

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
        check_grid(grid)
        self._grid = grid
        self._losses: dict[tuple[float, float], pld.PrivacyLossDistribution] = {}
        self._known: dict[tuple[frozenset[tuple[tuple[float, float], int]], float], float] = {}

    def epsilon(self, events: Iterable[MechanismEvent], target_delta: float) -> float:
        """Return epsilon of all events composed, at ``target_delta``, from the cache if possible.

        Parameters
        ----------
        events
            Mechanism events, in any order.
        target_delta
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
        counts = counted(events)
        key = frozenset(counts.items()), target_delta
        if key not in self._known:
            for rate, noise in counts.keys() - self._losses.keys():
                self._losses[rate, noise] = loss_of_step(rate, noise, self._grid)
            self._known[key] = epsilon_of(composed(counts, self._losses), counts, target_delta)
        return self._known[key]

    def noise_multiplier(
        self,
        epsilon: float,
        target_delta: float,
        sampling_rate: float,
        steps: int,
        others: Sequence[MechanismEvent] = (),
    ) -> float:
        """Return a noise multiplier, close to the smallest, that keeps DP-SGD within an epsilon; see ``calibrate``.

        Parameters
        ----------
        epsilon, target_delta
            The guarantee.
        sampling_rate
            Each unit's probability to be in a step (above 0, at most 1).
        steps
            Total number of steps.
        others
            All other releases of the run, whose noise is fixed.

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
        return calibrate(epsilon, target_delta, sampling_rate, steps, others, self.epsilon)

    def by_round(self, events: Sequence[MechanismEvent], rounds: int, target_delta: float) -> tuple[float, ...]:
        """Return epsilon after each of the rounds 1 to ``rounds``, cumulative.

        Parameters
        ----------
        events
            The mechanism events of one round.
        rounds
            Number of rounds.
        target_delta
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
        events
            Mechanism events, in any order.
        target_delta
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

    The figures are upper bounds. They are computed on the coarser grid, which raises a delta by about 2e-6 in a run of 60
    steps and by 4e-5 in one of 900. That is exact enough for the limits on attacks in a card's sentences.

    Parameters
    ----------
    events
        Mechanism events, in any order.
    epsilons
        Epsilons, 0 or more.

    Returns
    -------
    tuple[float, ...]
        Upper bounds of delta, one per epsilon.
    """
    counts = counted(events)
    total = composed(counts, {step: loss_of_step(*step, SEARCH_GRID) for step in counts})
    if total is None:
        return (0.0,) * len(epsilons)
    left = [epsilon - SAMPLING_LOSS * counts.total() for epsilon in epsilons]
    rounding = ROUNDING_LOSS * counts.total()
    return tuple(min(1.0, max(0.0, float(delta)) + rounding) for delta in deltas_at(total, left))


def renyi_epsilon(events: Iterable[MechanismEvent], target_delta: float) -> float:
    """Return a second upper bound of epsilon by Renyi accounting (Mironov 2017, arXiv 1702.07476); 0 without events.

    Parameters
    ----------
    events
        Mechanism events, in any order.
    target_delta
        Delta of the guarantee, above 0 and below 1.

    Raises
    ------
    PrivacyError
        ``target_delta`` is not above 0 and below 1.
    """
    check_delta(target_delta)
    accountant = RdpAccountant(RENYI_ORDERS, NeighboringRelation.ADD_OR_REMOVE_ONE)
    counts = counted(events)
    for (rate, noise), steps in counts.items():
        accountant.compose(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), steps)
    return float(accountant.get_epsilon(target_delta)) + SAMPLING_LOSS * counts.total() if counts else 0.0
