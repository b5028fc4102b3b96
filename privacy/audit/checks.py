"""Test the releases of an engine against the claims of its plan; an honest engine fails a check about once in a million."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from privacy.audit.membership import clopper_pearson

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
ALPHA = 1e-6  # chance that one check fails an honest engine
SHARE_TOLERANCE = 1e-6  # by how much rounding may lift a unit's share above C
LOW_BITS = 12  # how many of a release's lowest bits are checked, in steps of the grid
EXACT = 2.0**51  # a float64 below this still shows a fraction of a step


@dataclass(frozen=True)
class Check:
    """One check: its name, the measured and the allowed value, and whether it passed.

    ``accounted`` says that an epsilon can be computed from the measured value even if the check fails: this holds for the
    scale of the noise, the bound and the sampling rate, but not for noise that repeats or for batches that are no Poisson
    samples.
    """

    name: str
    seen: float
    allowed: str
    passed: bool
    accounted: bool = False


@dataclass(frozen=True)
class Range:
    """An estimate with both ends of its interval."""

    value: float
    low: float
    high: float


def noise_std(noise: Floats) -> Range:
    """Estimate the standard deviation of noise with mean 0, with exact ends at ``ALPHA`` (chi-square).

    Parameters
    ----------
    noise : array
        Independent draws.
    """
    count, square = noise.size, float(np.square(noise).sum())
    low, high = (math.sqrt(square / stats.chi2.ppf(tail, count)) for tail in (1 - ALPHA, ALPHA))
    return Range(math.sqrt(square / count), low, high)


def scale(name: str, noise: Floats, claimed: float) -> Check:
    """Check that the noise has the claimed standard deviation; too much fails as well as too little."""
    found = noise_std(noise)
    return Check(name, found.value, f"{claimed:.6g}", found.low <= claimed <= found.high, accounted=True)


def even(name: str, groups: Sequence[Floats]) -> Check:
    """Check that no group of numbers, such as one tensor or one step, has more or less noise than the others.

    Parameters
    ----------
    name
        What a group is.
    groups
        The noise of each group, of mean 0.
    """
    filled = [part for part in groups if part.size]
    squares, counts = np.array([np.square(part).sum() for part in filled]), np.array([part.size for part in filled])
    found = squares / (squares.sum() / counts.sum() or 1.0)
    tails = np.minimum(stats.chi2.sf(found, counts), stats.chi2.cdf(found, counts))
    return _rare(f"noise of one {name}: smallest p", 2 * float(tails.min()), len(counts))


def shape(noise: Floats) -> Check:
    """Check that the noise is Gaussian, whatever its scale (Kolmogorov and Smirnov)."""
    spread = math.sqrt(np.square(noise).mean()) or 1.0
    chance = float(stats.kstest(noise.ravel() / spread, stats.norm.cdf).pvalue)
    return Check("noise: p that it is Gaussian", chance, f"at least {ALPHA:g}", chance >= ALPHA)


def bound(shares: Floats) -> Check:
    """Check, without statistics, that no unit moved a sum by more than C."""
    largest = float(shares.max()) if np.isfinite(shares).all() else math.inf
    return Check("a unit's share of a sum, in C", largest, "1", largest <= 1 + SHARE_TOLERANCE, accounted=True)


def only_noise(sums: Floats, noise: Floats) -> Check:
    """Check that the release adds to the clipped sum nothing that depends on it."""
    size = float(np.linalg.norm(sums) * math.sqrt(np.square(noise).mean()))
    along = float((sums * noise).sum()) / size if size else 0.0
    limit = _normal_limit(1)
    return Check("release beyond sum and noise, in standard deviations", abs(along), f"{limit:.1f}", abs(along) <= limit)


def independent(name: str, rows: Floats) -> Check:
    """Check that no two rows of noise are correlated.

    Parameters
    ----------
    name
        What the rows are draws of.
    rows : array (n, m)
        Draws that should be independent, over steps, restarts or tensors.
    """
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)
    above = np.triu_indices(len(rows), 1)
    found = float(np.abs((unit @ unit.T)[above]).max(initial=0.0)) * math.sqrt(rows.shape[1])
    limit = _normal_limit(max(1, len(above[0])))
    return Check(f"{name}: largest correlation, in standard deviations", found, f"{limit:.1f}", found <= limit)


def unrepeated(rows: Floats) -> Check:
    """Check that no noise repeats within one release, at any distance up to half its length."""
    count = rows.shape[1]
    lags = np.arange(1, max(2, count // 2))
    spectrum = np.abs(np.fft.rfft(rows, 2 * count)) ** 2
    along = np.fft.irfft(spectrum.sum(axis=0))[lags] / (np.square(rows).mean() or 1.0)
    found = float(np.abs(along / np.sqrt(len(rows) * (count - lags))).max())
    limit = _normal_limit(len(lags))
    return Check(
        "noise within one release: largest correlation, in standard deviations", found, f"{limit:.1f}", found <= limit
    )


def on_grid(fractions: float, whole: npt.NDArray[np.int64]) -> Iterator[Check]:
    """Check that releases are whole steps of the grid and that each low bit of the noise alone is random.

    Parameters
    ----------
    fractions
        Largest distance of a release from a whole number of steps.
    whole : array
        Releases where the sum is 0, in steps; numbers at which the sum is not 0 are 0.
    """
    numbers = whole[whole != 0]
    if not len(numbers) or np.abs(numbers).max() > EXACT / 64:
        return  # a float64 does not show the low bits of noise as large as this
    yield Check("distance of a release from the grid, in its steps", fractions, "0.1", fractions <= 0.1)
    yield low_bits("low bits of the noise", numbers)


def low_bits(name: str, numbers: npt.NDArray[np.int64]) -> Check:
    """Check that each of the low bits is 1 as often as 0."""
    ones = [int(((numbers >> bit) & 1).sum()) for bit in range(LOW_BITS)]
    chance = min(_two_sided(stats.binom, one, numbers.size, 0.5) for one in ones)
    return _rare(f"{name}: smallest p of {LOW_BITS} bits", chance, LOW_BITS)


def sampling(included: Flags, rate: float) -> Iterator[Check]:
    """Check that each unit was in each step with the claimed probability, independently of all else.

    Parameters
    ----------
    included : array (T, n) bool
        Which unit was in which step.
    rate
        The claimed sampling rate q.
    """
    (steps, units), total = included.shape, int(included.sum())
    fits = _two_sided(stats.binom, total, included.size, rate) >= ALPHA
    yield Check("sampling rate", total / included.size, f"{rate:.6g}", fits, accounted=True)
    rate = total / included.size  # whether the draws are independent does not depend on the claimed rate
    counts, sizes = included.sum(axis=0), included.sum(axis=1)
    tail = np.minimum(stats.binom.sf(counts - 1, steps, rate), stats.binom.cdf(counts, steps, rate))
    yield _rare("steps of one unit: smallest p", 2 * float(tail.min()), units)
    if rate in (0, 1):
        return  # nothing is left to chance
    yield _dispersion("steps of each unit: variance / that of independent draws", counts, steps, rate)
    yield _dispersion("size of each batch: variance / that of independent draws", sizes, units, rate)
    one, other = np.triu_indices(steps, 1)
    shared = (included.astype(np.float32) @ included.T.astype(np.float32))[one, other].round().astype(np.int64)
    law = stats.hypergeom(units, sizes[one], sizes[other])
    tails = np.minimum(law.sf(shared - 1), law.cdf(shared))
    yield _rare("units that two steps share: smallest p", 2 * float(tails.min()), len(one))


def rate_range(included: Flags) -> Range:
    """Estimate the sampling rate, with exact ends at ``ALPHA`` (Clopper and Pearson)."""
    total, size = int(included.sum()), included.size
    return Range(total / size, *clopper_pearson(total, size, ALPHA))


def _dispersion(name: str, counts: npt.NDArray[np.int64], trials: int, rate: float) -> Check:
    """Compare the variance of counts with that of a binomial, by a chi-square with the same first two moments.

    The statistic sum (k - T q)^2 / (T q (1 - q)) over n counts has mean n and variance n (2 + (1 - 6 q (1 - q)) / (T q
    (1 - q))).
    """
    spread, one = trials * rate * (1 - rate), rate * (1 - rate)
    found = float(np.square(counts - trials * rate).sum()) / spread
    freedom = 2 * len(counts) / (2 + (1 - 6 * one) / spread)
    scaled = found / len(counts) * freedom
    chance = 2 * float(min(stats.chi2.sf(scaled, freedom), stats.chi2.cdf(scaled, freedom)))
    limit = ALPHA / 1000  # the chi-square is an approximation, and its tails are too light
    return Check(name, found / len(counts), f"1 (p at least {limit:g})", chance >= limit)


def _two_sided(law: stats.rv_discrete, count: int, *fits: float) -> float:
    """Return twice the chance of the smaller tail that begins at a count."""
    return 2 * float(min(law.sf(count - 1, *fits), law.cdf(count, *fits)))


def _rare(name: str, chance: float, tries: int) -> Check:
    """Check that the smallest of several chances is not too small (Bonferroni)."""
    return Check(name, min(1.0, chance), f"at least {ALPHA / tries:.1g}", chance >= ALPHA / tries)


def _normal_limit(tries: int) -> float:
    return float(stats.norm.isf(ALPHA / (2 * tries)))
