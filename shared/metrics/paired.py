"""Test in pairs whether one model is better than another on the same records."""

from dataclasses import dataclass

import numpy as np

from shared.metrics.bootstrap import Interval, Sums, draws, interval_of


@dataclass(frozen=True)
class Difference:
    """The change of a metric from one model to another, and the p-value of that change."""

    name: str
    change: Interval
    p_value: float


def compare(before: Sums, after: Sums, resamples: int, confidence: float, seed: int) -> Difference:
    """Return the change of a metric, with its paired bootstrap interval and the p-value of approximate randomisation.

    Each resample takes the same records of both models (Koehn 2004). The test swaps the two models' results on each
    record with probability 1/2 and counts how often the metrics then differ at least as much (Riezler and Maxwell 2005). The
    observed order is counted too, so p is at least 1 / (resamples + 1) and the test is valid (Phipson and Smyth 2010).

    Parameters
    ----------
    before, after
        The metric of both models on the same N records.
    resamples
        Number of bootstrap resamples.
    confidence
        Coverage of the interval, 0.5 to 1.
    seed
        Seed of the resamples.

    Raises
    ------
    ValueError
        The numbers of records differ.
    """
    if before.rows.shape != after.rows.shape:
        raise ValueError(f"{before.name}: two models are compared on the same records, record by record")
    chosen = draws(len(before.rows), resamples, seed)
    changes = after.resampled(chosen) - before.resampled(chosen)
    return Difference(after.name, interval_of(changes, confidence), _p_value(before, after, resamples, seed))


def _p_value(before: Sums, after: Sums, resamples: int, seed: int) -> float:
    """Return the share of random swaps, the observed order included, with at least the observed difference."""
    generator = np.random.default_rng(seed)
    start, end = before.rows.sum(axis=0), after.rows.sum(axis=0)
    gain = after.rows - before.rows
    moved = np.stack([(generator.random(len(gain)) < 0.5) @ gain for _ in range(resamples)])
    swapped = np.abs(before.measure(start + moved) - before.measure(end - moved))
    observed = abs(after.value() - before.value())
    return float((1 + (swapped >= observed * (1 - 1e-9) - 1e-12).sum()) / (resamples + 1))
