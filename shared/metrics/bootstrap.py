"""Measures of a model, each with a bootstrap interval over records."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A measured value with the lower and upper end of its confidence interval."""

    value: float
    low: float
    high: float

    def lies_above(self, other: "Interval") -> bool:
        """Whether the whole interval lies above the other."""
        return self.low > other.high


@dataclass(frozen=True)
class Sums:
    """A measure that depends on the records through sums alone.

    ``rows`` are what each record adds, (N, K); ``measure`` takes M sums (M, K) to M values (M,).
    """

    name: str
    rows: Floats = field(repr=False)
    measure: Callable[[Floats], Floats] = field(repr=False)

    def value(self) -> float:
        """The measure over all records."""
        return float(self.measure(self.rows.sum(axis=0, keepdims=True))[0])

    def interval(self, resamples: int, confidence: float, seed: int) -> Interval:
        """The measure with its percentile bootstrap interval over records (Efron 1979)."""
        sums = [self.rows.sum(axis=0), *(self.rows[chosen].sum(axis=0) for chosen in draws(len(self.rows), resamples, seed))]
        return interval_of(self.measure(np.stack(sums)), confidence)


def mean(name: str, values: Floats) -> Sums:
    """The mean of a value of each record, (N,)."""
    return Sums(name, np.column_stack((values, np.ones(len(values)))), ratio)


def perplexity(losses: Floats, tokens: Floats) -> Sums:
    """exp(total negative log-likelihood / total tokens) of N records."""
    return Sums("perplexity", np.column_stack((losses, tokens)), lambda sums: np.exp(ratio(sums)))


def draws(records: int, resamples: int, seed: int) -> list[Ints]:
    """The indices of each bootstrap resample of N records, (N,) each, with replacement."""
    generator = np.random.default_rng(seed)
    return [generator.integers(0, records, size=records) for _ in range(resamples)]


def interval_of(values: Floats, confidence: float) -> Interval:
    """The first value, with percentiles of the others."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values[1:], (tail, 1 - tail))
    return Interval(float(values[0]), float(low), float(high))


def wilson(hits: int, total: int, confidence: float) -> Interval:
    """The share of ``hits`` among ``total`` with its Wilson score interval (Wilson 1927, JASA 22:209).

    With nothing to count, the share is 0 and the ends 0 and 1.
    """
    if total == 0:
        return Interval(0.0, 0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = hits / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5 / (1 + z * z / total)
    # At 0 and 1 the formula meets the border exactly; rounding must not put the share outside its interval.
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def ratio(sums: Floats) -> Floats:
    """The first of two sums over the second, (M,)."""
    return np.asarray(sums[:, 0] / sums[:, 1])
