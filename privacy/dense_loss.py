"""Compose and read dense privacy losses of dp-accounting, with its results in a fraction of its time.

dp-accounting walks through the up to a million probabilities of a loss with loops of Python, and computes the bounds of a
composition with forty passes of ``logsumexp``. Here the same sums are taken in the same order by numpy, so that each epsilon
is equal to that of dp-accounting in every bit. A loss that dp-accounting keeps sparse has at most a thousand probabilities,
and is left to its functions.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from dp_accounting.pld.pld_pmf import DensePLDPmf, PLDPmf, create_pmf_pessimistic_connect_dots_fixed_gap
from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution
from scipy import fft

from shared.errors import PrivacyError

Floats = npt.NDArray[np.float64]

MOST_LOSSES = 2**27  # of a distribution, a gigabyte
LARGEST_SPARSE = 1000  # probabilities of a loss that dp-accounting keeps sparse
ROUNDED = 1e-12  # the most by which rounding may raise a divergence
LOST = 1e-15  # probability that a composition may count as an infinite loss; dp-accounting's default
ORDERS = 20  # of the Chernoff bound, in each direction
CHUNK = 8192  # probabilities that are added at once
MARGIN = 1e-9  # larger than any difference between a logarithm of numpy and one of math
LARGEST_EXPONENT = 700.0  # whose exponential, times any number of probabilities, is a float


def refuse_too_many(losses: int) -> None:
    """Refuse a distribution that would fill the memory.

    Parameters
    ----------
    losses
        Number of its losses.

    Raises
    ------
    PrivacyError
        They are more than ``MOST_LOSSES``.
    """
    if losses > MOST_LOSSES:
        raise PrivacyError(
            f"epsilon: the privacy losses of this plan lie on {losses:.1e} points, and at most {MOST_LOSSES:.1e} can be "
            "computed; use fewer steps, more noise or a lower sampling rate"
        )


def discretised(grid: float, low: int, high: int, deltas: Floats) -> PLDPmf:
    """Return the pessimistic loss whose hockey-stick divergence is ``deltas`` on the points of a grid.

    Parameters
    ----------
    grid
        Distance of the points.
    low, high
        The first and the last point, in units of the grid.
    deltas
        Divergence at each point, which does not rise by more than rounding.
    """
    if high - low < LARGEST_SPARSE or np.any(np.diff(deltas) > ROUNDED):  # dp-accounting refuses those that rise
        return create_pmf_pessimistic_connect_dots_fixed_gap(grid, low, high, deltas)
    deltas = np.minimum.accumulate(deltas)
    steps, scale = np.diff(deltas), math.expm1(grid)
    probabilities = np.empty_like(deltas)
    probabilities[0] = 1 - deltas[0] + steps[0] / scale
    probabilities[1:-1] = (steps[1:] - steps[:-1] * math.exp(grid)) / scale
    probabilities[-1] = steps[-1] / math.expm1(-grid)
    return DensePLDPmf(grid, low, np.maximum(0.0, probabilities), deltas[-1], True)


def self_composed(loss: PrivacyLossDistribution, count: int) -> PrivacyLossDistribution:
    """Return the loss of ``count`` steps that each have this loss; see ``PrivacyLossDistribution.self_compose``."""
    removed = _self_composed(loss._pmf_remove, count)
    if loss._symmetric:
        return PrivacyLossDistribution(removed)
    return PrivacyLossDistribution(removed, _self_composed(loss._pmf_add, count))


def epsilon_at(loss: PrivacyLossDistribution, target_delta: float) -> float:
    """Return the smallest epsilon at which the divergence is at most ``target_delta``, infinite if there is none."""
    each = [loss._pmf_remove] if loss._symmetric else [loss._pmf_remove, loss._pmf_add]
    return max(_epsilon_at(one, target_delta) for one in each)


def deltas_at(loss: PrivacyLossDistribution, epsilons: Sequence[float]) -> Floats:
    """Return the divergence at each of several epsilons, in their order."""
    each = [loss._pmf_remove] if loss._symmetric else [loss._pmf_remove, loss._pmf_add]
    worst: Floats = np.max([_deltas_at(one, np.asarray(epsilons)) for one in each], axis=0)
    return worst


def _self_composed(pmf: PLDPmf, count: int) -> PLDPmf:
    if not isinstance(pmf, DensePLDPmf):
        if count < LARGEST_SPARSE.bit_length() and pmf.size**count <= LARGEST_SPARSE:  # a power of a million takes seconds
            return pmf.self_compose(count)
        pmf = pmf.to_dense_pmf()
    probabilities = pmf._probs
    low, high = _bounds(probabilities, count)
    length = high - low + 1
    refuse_too_many(length)
    padded = fft.next_fast_len(max(length, len(probabilities)))
    wrapped = np.real(fft.ifft(fft.fft(probabilities, padded) ** count))
    infinite = LOST - math.expm1(count * math.log1p(-pmf._infinity_mass))
    lowest = pmf._lower_loss * count + low
    return DensePLDPmf(pmf._discretization, lowest, np.roll(wrapped, -low)[:length], infinite, pmf._pessimistic_estimate)


def _bounds(probabilities: Floats, count: int) -> tuple[int, int]:
    """Return the places between which nearly all of a composition lies, by the Chernoff bound at several orders.

    The moment generating function at order k / n is the sum of p_i exp(i / n)^k, with at most exp(20) in place of the power.
    """
    size = len(probabilities)
    low, high = 0, (size - 1) * count
    left, base = math.log(2 / LOST), np.arange(size) / size
    for sign in (-1, 1):
        factor, powers = np.exp(sign * base), np.ones(size)
        for step in range(1, ORDERS + 1):
            powers *= factor
            mean, order = float(probabilities @ powers), sign * step / size
            bound = (count * math.log(mean) + left) / order if mean > 0 else math.inf
            if not math.isfinite(bound):
                continue
            low, high = (max(low, math.floor(bound)), high) if sign < 0 else (low, min(high, math.ceil(bound)))
    return low, high


def _epsilon_at(pmf: PLDPmf, delta: float) -> float:
    if not isinstance(pmf, DensePLDPmf):
        return float(pmf.get_epsilon_for_delta(delta))
    if pmf._infinity_mass > delta:
        return math.inf
    above, below = pmf._infinity_mass, 0.0
    for losses, probabilities in _from_above(pmf):
        exponents = np.minimum(-losses, LARGEST_EXPONENT).tolist()  # a loss below -700 is not reached, but may be in a chunk
        scaled = np.array(list(map(math.exp, exponents))) * probabilities  # numpy's exp may differ in the last bit
        masses, lower = _running(above, probabilities), _running(below, scaled)
        end = _first_not_below(masses, lower, losses, delta)
        unbounded = np.flatnonzero((masses[1:] >= delta) & (lower[1:] == 0))  # where the exponentials of losses are 0
        if len(unbounded) and unbounded[0] < end:
            return max(0.0, float(losses[unbounded[0]]))
        above, below = float(masses[end]), float(lower[end])
        if end < len(losses):
            break
    return 0.0 if above <= below + delta else math.log((above - delta) / below)


def _first_not_below(masses: Floats, lower: Floats, losses: Floats, delta: float) -> int:
    """Return the first place whose loss is at most the epsilon of the probabilities before it; their number if none is."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        reached = np.log((masses[:-1] - delta) / lower[:-1]) >= losses - MARGIN  # false where there is no logarithm
    for place in np.flatnonzero(reached & (lower[:-1] > 0)):
        if math.log(float(masses[place] - delta) / float(lower[place])) >= losses[place]:
            return int(place)
    return len(losses)


def _from_above(pmf: DensePLDPmf) -> Iterator[tuple[Floats, Floats]]:
    """Yield losses and probabilities from the largest loss down, in chunks."""
    largest, from_above = (pmf._lower_loss + len(pmf._probs) - 1) * pmf._discretization, np.flip(pmf._probs)
    for start in range(0, len(from_above), CHUNK):
        chunk = from_above[start : start + CHUNK]
        losses = _running(largest, np.full(len(chunk), -pmf._discretization))
        largest = losses[-1]
        yield losses[:-1], chunk


def _running(first: float, terms: Floats) -> Floats:
    """Return ``first`` and its sums with the first terms, added one after the other."""
    return np.add.accumulate(np.concatenate(([first], terms)))


def _deltas_at(pmf: PLDPmf, epsilons: Floats) -> Floats:
    dense = pmf.to_dense_pmf()
    losses = (np.arange(dense.size) + dense._lower_loss) * dense._discretization
    above = _running(dense._infinity_mass, np.flip(dense._probs))
    below = _running(0.0, np.flip(dense._probs * np.exp(np.minimum(-losses, LARGEST_EXPONENT))))
    larger = dense.size - np.searchsorted(losses, epsilons, side="right")  # number of losses above each epsilon
    scaled = np.exp(np.minimum(epsilons, LARGEST_EXPONENT)) * below[larger]
    deltas: Floats = above[larger] - np.where(epsilons > LARGEST_EXPONENT, 0.0, scaled)  # beyond it, an upper bound
    return deltas
