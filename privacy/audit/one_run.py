"""Bound epsilon from below by one training run in which each of m canaries took part with chance 1/2.

Whoever sees what was released calls some canaries present. If the run is (epsilon, delta)-private, too many right calls are
unlikely, whatever the canaries and the calls are; so many right calls refute the epsilon. A bound below the claim proves
nothing: the canaries or the scores may have been weak.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr, ndtri
from scipy.stats import binom

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
CONFIDENCE = 0.95  # the confidence of each bound
GUESSED = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5)  # shares of the canaries that are called present, fixed in advance
LARGEST = 64.0  # the largest epsilon that is tried


@dataclass(frozen=True)
class LowerBound:
    """Lower bounds of epsilon at one delta, each with the stated confidence over all shares that were tried.

    ``gaussian`` is the bound among Gaussian mechanisms (Mahloujifar, Melis and Chaudhuri 2024, arXiv 2410.22235).
    ``general`` is the one without an assumption (Steinke, Nasr and Jagielski 2023, arXiv 2305.08846), which is weak unless
    delta is far below 1 / m. ``right`` of ``guesses`` calls were right where the first is largest.
    """

    gaussian: float
    general: float
    guesses: int
    right: int
    canaries: int


def lower_bound(included: Flags, scores: Floats, delta: float) -> LowerBound:
    """Return lower bounds of epsilon from the scores of canaries.

    Parameters
    ----------
    included : array (m,) bool
        Which canaries took part, drawn fairly and independently.
    scores : array (m,)
        Larger where a canary is more likely to have taken part; computed without ``included``.
    delta
        Delta of the claim.
    """
    count, risk = len(scores), (1 - CONFIDENCE) / len(GUESSED)
    order = np.argsort(-scores, kind="stable")
    tried = sorted({max(1, round(share * count)) for share in GUESSED})
    right = [int(included[order[:guesses]].sum()) for guesses in tried]
    pairs = list(zip(tried, right, strict=True))
    found = [_largest(partial(refuted_gaussian, count, *pair, delta=delta, risk=risk)) for pair in pairs]
    general = [_largest(partial(refuted, count, *pair, delta=delta, risk=risk)) for pair in pairs]
    best = int(np.argmax(found))
    return LowerBound(found[best], max(general), *pairs[best], count)


def refuted(canaries: int, guesses: int, right: int, epsilon: float, delta: float, risk: float) -> bool:
    """Return whether the calls refute (epsilon, delta)."""
    return p_value(canaries, guesses, right, epsilon, delta) <= risk


def p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Return the chance of at least ``right`` right calls under (epsilon, delta), theorem 5.2 of arXiv 2305.08846."""
    chance = 1 / (1 + math.exp(-epsilon))
    beta = float(binom.sf(right - 1, guesses, chance))
    fewer = np.arange(1, right + 1)
    alpha = np.max((binom.sf(right - fewer - 1, guesses, chance) - beta) / fewer, initial=0.0)
    return min(1.0, beta + 2 * canaries * delta * float(alpha))


def refuted_gaussian(canaries: int, guesses: int, right: int, epsilon: float, delta: float, risk: float) -> bool:
    """Return whether the calls refute the Gaussian mechanism of (epsilon, delta), algorithm 3 of arXiv 2410.22235.

    ``r`` and ``h`` bound the shares of canaries with at least i right calls and at most that many; the recursion lowers i.
    """
    mu = gaussian_mu(epsilon, delta)
    r, h = risk * right / canaries, risk * (guesses - right) / canaries
    for i in range(right - 1, -1, -1):
        higher = max(h, float(ndtr(ndtri(min(r, 1.0)) - mu)))
        if higher == h:
            break
        r, h = r + i / (guesses - i) * (higher - h), higher
    return r + h > guesses / canaries


def gaussian_mu(epsilon: float, delta: float) -> float:
    """Return mu = sensitivity / standard deviation of the Gaussian mechanism of (epsilon, delta).

    delta = Phi(mu / 2 - epsilon / mu) - e^epsilon Phi(-mu / 2 - epsilon / mu) (Balle and Wang 2018, arXiv 1805.06530).
    """

    def excess(mu: float) -> float:
        second = math.exp(epsilon + float(log_ndtr(-mu / 2 - epsilon / mu)))
        return float(ndtr(mu / 2 - epsilon / mu)) - second - delta

    return float(brentq(excess, 1e-6, 2 * math.sqrt(2 * LARGEST) + 20, xtol=1e-9))


def _largest(is_refuted: Callable[[float], bool]) -> float:
    """Return the largest epsilon, up to ``LARGEST``, that is refuted; a refuted epsilon refutes every smaller one."""
    if not is_refuted(0.0):
        return 0.0
    low, high = 0.0, LARGEST
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if is_refuted(middle) else (low, middle)
    return low
