"""Compute metrics that are functions of sums over records, with bootstrap intervals."""

from collections.abc import Callable, Sequence
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


@dataclass(frozen=True)
class Sums:
    """A metric that is a function of sums over records.

    ``rows`` (N, K) are the terms of each record; ``measure`` maps M sums (M, K) to M values (M,).
    """

    name: str
    rows: Floats = field(repr=False)
    measure: Callable[[Floats], Floats] = field(repr=False)

    def value(self) -> float:
        """Return the metric over all records."""
        return float(self.measure(self.rows.sum(axis=0, keepdims=True))[0])

    def interval(self, resamples: int, confidence: float, seed: int) -> Interval:
        """Return the metric with its percentile bootstrap interval over records (Efron 1979).

        Parameters
        ----------
        resamples
            Number of bootstrap resamples.
        confidence
            Coverage of the interval, 0.5 to 1.
        seed
            Seed of the resamples.
        """
        return interval_of(self.resampled(draws(len(self.rows), resamples, seed)), confidence)

    def resampled(self, chosen: Sequence[Ints]) -> Floats:
        """Return the metric over all records, then over each resample of chosen indices, (1 + resamples,)."""
        return self.measure(np.stack([self.rows.sum(axis=0), *(self.rows[each].sum(axis=0) for each in chosen)]))


def mean(name: str, values: Floats) -> Sums:
    """Return a metric that is the mean of one value of each record.

    Parameters
    ----------
    name
        The key of the metric in the registry.
    values
        The value of each record, (N,).
    """
    return Sums(name, np.column_stack((values, np.ones(len(values)))), ratio)


def perplexity(losses: Floats, tokens: Floats) -> Sums:
    """Return perplexity: exp(total negative log-likelihood / total tokens).

    Parameters
    ----------
    losses
        Summed negative log-likelihood of each record, in nats, (N,).
    tokens
        Number of tokens of each record, (N,).
    """
    return Sums("perplexity", np.column_stack((losses, tokens)), lambda sums: np.exp(ratio(sums)))


def draws(records: int, resamples: int, seed: int) -> list[Ints]:
    """Return the indices of each bootstrap resample, (N,) each, drawn with replacement.

    Parameters
    ----------
    records
        The number N of records.
    resamples
        Number of resamples.
    seed
        Seed of the draw.
    """
    generator = np.random.default_rng(seed)
    return [generator.integers(0, records, size=records) for _ in range(resamples)]


def interval_of(values: Floats, confidence: float) -> Interval:
    """Return the first value, with percentiles of the others as the ends of its interval.

    Parameters
    ----------
    values
        The metric on all records, then on each resample, (1 + resamples,).
    confidence
        Coverage of the interval, 0.5 to 1.
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(values[1:], (tail, 1 - tail))
    return Interval(float(values[0]), float(low), float(high))


def wilson(hits: int, total: int, confidence: float) -> Interval:
    """Return the share of ``hits`` among ``total`` with its Wilson score interval (Wilson 1927, JASA 22:209).

    If ``total`` is 0, the share is 0 and the interval reaches from 0 to 1.

    Parameters
    ----------
    hits
        The number of hits, at most ``total``.
    total
        The number of trials.
    confidence
        Coverage of the interval, 0.5 to 1.
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
    """Return the first of two sums divided by the second, (M,)."""
    return np.asarray(sums[:, 0] / sums[:, 1])
