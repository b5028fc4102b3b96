"""Measure calibration: whether a model that is 80 % sure is right 80 times in 100."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.metrics.bootstrap import Floats, Interval, Ints, Sums, mean

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Records whose predicted class has a probability from ``low`` to ``high``.

    ``confidence`` is their mean probability and ``accuracy`` the share of right predictions; both are NaN without records.
    """

    low: float
    high: float
    records: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How far predicted probabilities are from observed frequencies; `calibration` explains the fields."""

    error: Interval
    brier: Interval
    log_loss: Interval
    bins: tuple[Bin, ...]


def calibration(truth: Ints, probabilities: Floats, resamples: int, confidence: float, seed: int) -> Calibration:
    """Return the calibration of class probabilities.

    ``error`` is the expected calibration error of the predicted class over ten bins of equal width (Guo et al. 2017,
    arXiv 1706.04599); as it cannot be negative, chance makes it positive even for a calibrated model. ``brier`` is the sum
    of squares over all classes, 0 to 2 (Brier 1950); ``log_loss`` is in nats.

    Parameters
    ----------
    truth
        The true class of each record, (N,).
    probabilities
        The probability of each class, (N, classes).
    resamples
        Number of bootstrap resamples.
    confidence
        Coverage of the intervals, 0.5 to 1.
    seed
        Seed of the resamples.
    """
    sure = probabilities.max(axis=1)
    hits = (probabilities.argmax(axis=1) == truth).astype(np.float64)
    place = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    true = np.zeros_like(probabilities)
    true[np.arange(len(truth)), truth] = 1
    sums = (
        _expected_error(sure, hits, place),
        mean("brier", ((probabilities - true) ** 2).sum(axis=1)),
        mean("log_loss", -np.log(np.maximum((probabilities * true).sum(axis=1), np.finfo(np.float64).eps))),
    )
    error, brier, log_loss = (each.interval(resamples, confidence, seed) for each in sums)
    return Calibration(error, brier, log_loss, tuple(_bin(number, sure, hits, place == number) for number in range(BINS)))


def _expected_error(sure: Floats, hits: Floats, place: Ints) -> Sums:
    """Return the sum over bins of |hits - sum of probabilities|, divided by the number of records."""
    rows = np.zeros((len(sure), BINS + 1))
    rows[np.arange(len(sure)), place] = hits - sure
    rows[:, BINS] = 1
    return Sums("error", rows, lambda sums: np.abs(sums[:, :BINS]).sum(axis=1) / sums[:, BINS])


def _bin(number: int, sure: Floats, hits: Floats, inside: npt.NDArray[np.bool_]) -> Bin:
    records = int(inside.sum())
    means = (float(sure[inside].mean()), float(hits[inside].mean())) if records else (float("nan"), float("nan"))
    return Bin(number / BINS, (number + 1) / BINS, records, *means)
