"""Compute the privacy loss distribution of one step: a Gaussian sum over a Poisson sample, for adding or removing one unit.

The discretisation is "connect the dots" of dp-accounting (Doroshenko et al. 2022, arXiv 2207.04380), and so are the
distributions that it uses. dp-accounting finds the point of each privacy loss by a call of several Python functions, and a
distribution has up to a million losses. Here all points are found at once, which is about ten times as fast.
"""

import math

import numpy as np
import numpy.typing as npt
from dp_accounting.pld.pld_pmf import PLDPmf
from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution
from dp_accounting.pld.privacy_loss_mechanism import AdjacencyType, GaussianPrivacyLoss

from privacy.dense_loss import discretised, refuse_too_many

Floats = npt.NDArray[np.float64]


def loss_of_step(sampling_rate: float, noise_multiplier: float, grid: float) -> PrivacyLossDistribution:
    """Return a pessimistic privacy loss distribution of one step.

    Parameters
    ----------
    sampling_rate
        Probability q of each unit to be in the sum, above 0 and at most 1.
    noise_multiplier
        Standard deviation of the noise, divided by the L2 sensitivity of the sum.
    grid
        Discretisation of the privacy loss.

    Raises
    ------
    PrivacyError
        The noise is so small that the losses would fill the memory.
    """
    removed = _discretised(sampling_rate, noise_multiplier, grid, AdjacencyType.REMOVE)
    if sampling_rate == 1.0:
        return PrivacyLossDistribution(removed)  # adding a unit then has the same losses
    return PrivacyLossDistribution(removed, _discretised(sampling_rate, noise_multiplier, grid, AdjacencyType.ADD))


def _discretised(rate: float, noise: float, grid: float, adjacency: AdjacencyType) -> PLDPmf:
    """Return the losses on a grid, in one direction; the result is never more private than the exact losses."""
    mechanism = GaussianPrivacyLoss(noise, sampling_prob=rate, adjacency_type=adjacency)
    bounds = mechanism.connect_dots_bounds()
    smallest, largest = bounds.epsilon_lower, bounds.epsilon_upper  # beyond these losses, next to no probability is left
    assert smallest is not None and largest is not None  # noqa: S101  the noise is continuous
    low, high = int(smallest // grid), -int(-largest // grid)
    refuse_too_many(high - low + 1)
    deltas = _deltas(mechanism, np.arange(low, high + 1, dtype=np.float64) * grid)
    return discretised(grid, low, high, deltas)


def _deltas(mechanism: GaussianPrivacyLoss, losses: Floats) -> Floats:
    """Return the hockey-stick divergence at each loss l: P(x <= x_l) - exp(l) Q(x <= x_l), where x_l has the loss l."""
    rate, added = mechanism.sampling_prob, mechanism.adjacency_type == AdjacencyType.ADD
    reached = np.full(len(losses), True)  # losses that some x has
    deltas = np.zeros(len(losses))
    if rate < 1.0:
        limit = math.log1p(-rate)  # adding a unit loses less than -limit, removing one more than limit
        reached = losses < -limit if added else losses > limit
        if not added:
            deltas[~reached] = -np.expm1(losses[~reached])
    points = _points(losses[reached], rate, mechanism.standard_deviation, added)
    deltas[reached] = mechanism.mu_upper_cdf(points) - np.exp(losses[reached] + mechanism.mu_lower_log_cdf(points))
    clipped: Floats = np.clip(deltas, 0, 1)
    return clipped


def _points(losses: Floats, rate: float, noise: float, added: bool) -> Floats:
    """Return the x at which the privacy loss falls to each of the losses.

    Without sampling, x = 1/2 - l noise^2 if a unit is added, and x = -1/2 - l noise^2 if it is removed. With sampling at
    rate q, l is replaced by log(1 + (exp(l) - 1) / q) = l - log(q) + log(1 - (1 - q) exp(-l)) for a removed unit, and by
    the negative of that at -l for an added one.
    """
    sign = -1.0 if added else 1.0
    if rate < 1.0:
        signed = sign * losses
        rest = np.minimum((1 - rate) * np.exp(-signed), 1.0)  # rounding could lift it above 1, where there is no logarithm
        with np.errstate(divide="ignore"):  # at 1, x is infinite
            losses = sign * (signed - math.log(rate) + np.log1p(-rest))
    points: Floats = -sign / 2 - losses * noise**2
    return points
