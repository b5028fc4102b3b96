"""Measures of a model, each with a bootstrap interval over records."""

from collections.abc import Callable, Mapping, Sequence
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


@dataclass(frozen=True)
class ClassScores:
    """How one class is told from the others; ``records`` are those that truly are of it."""

    label: str
    records: int
    precision: Interval
    recall: Interval
    f1: Interval


def mean(name: str, values: Floats) -> Sums:
    """The mean of a value of each record, (N,)."""
    return Sums(name, np.column_stack((values, np.ones(len(values)))), _ratio)


def perplexity(losses: Floats, tokens: Floats) -> Sums:
    """exp(total negative log-likelihood / total tokens) of N records."""
    return Sums("perplexity", np.column_stack((losses, tokens)), lambda sums: np.exp(_ratio(sums)))


def classification_metrics(
    truth: Ints, predicted: Ints, classes: int, resamples: int, confidence: float, seed: int
) -> Mapping[str, Interval]:
    """Accuracy, balanced accuracy, macro precision, macro recall and macro F1 of predictions (N,), by bootstrap.

    As in scikit-learn, a class without a true or predicted record counts as 0, and balanced accuracy leaves out the
    classes without a true record.
    """
    both = _resampled(truth, predicted, classes, resamples, seed)
    return {name: interval_of(measure(both), confidence) for name, measure in _MEASURES.items()}


def class_scores(
    truth: Ints, predicted: Ints, labels: Sequence[str], resamples: int, confidence: float, seed: int
) -> list[ClassScores]:
    """Precision, recall and F1 of each class, from the same resamples as the measures of all classes."""
    both = _resampled(truth, predicted, len(labels), resamples, seed)
    precision, recall = _by_class(both)
    columns = (precision, recall, _f1(precision, recall))
    return [
        ClassScores(label, int((truth == place).sum()), *(interval_of(values[:, place], confidence) for values in columns))
        for place, label in enumerate(labels)
    ]


def confusion(truth: Ints, predicted: Ints, classes: int) -> Ints:
    """Counts (classes, classes): a row for each true class, a column for each predicted one."""
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


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


def _resampled(truth: Ints, predicted: Ints, classes: int, resamples: int, seed: int) -> Floats:
    """The confusion matrix and those of the resamples, (1 + resamples, classes, classes).

    Resampling N records with replacement is one multinomial draw over the cells of the matrix (Efron 1979).
    """
    cells = confusion(truth, predicted, classes).ravel()
    drawn = np.random.default_rng(seed).multinomial(len(truth), cells / len(truth), size=resamples)
    return np.concatenate((cells[None], drawn)).reshape(-1, classes, classes).astype(np.float64)


def _ratio(sums: Floats) -> Floats:
    """The first of two sums over the second, (M,)."""
    return np.asarray(sums[:, 0] / sums[:, 1])


def _accuracy(matrices: Floats) -> Floats:
    return np.asarray(np.trace(matrices, axis1=1, axis2=2) / matrices.sum(axis=(1, 2)))


def _by_class(matrices: Floats) -> tuple[Floats, Floats]:
    """Precision and recall by class, each (M, classes); 0 where undefined. Rows are the truth."""
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    named, real = matrices.sum(axis=1), matrices.sum(axis=2)
    zero = np.zeros_like(hits)
    return np.divide(hits, named, out=zero.copy(), where=named > 0), np.divide(hits, real, out=zero, where=real > 0)


def _macro_precision(matrices: Floats) -> Floats:
    return np.asarray(_by_class(matrices)[0].mean(axis=1))


def _macro_recall(matrices: Floats) -> Floats:
    return np.asarray(_by_class(matrices)[1].mean(axis=1))


def _macro_f1(matrices: Floats) -> Floats:
    return np.asarray(_f1(*_by_class(matrices)).mean(axis=1))


def _f1(precision: Floats, recall: Floats) -> Floats:
    total = precision + recall
    return np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)


def _balanced_accuracy(matrices: Floats) -> Floats:
    present = (matrices.sum(axis=2) > 0).sum(axis=1)
    return np.asarray(_by_class(matrices)[1].sum(axis=1) / present)


_MEASURES: Mapping[str, Callable[[Floats], Floats]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "macro_precision": _macro_precision,
    "macro_recall": _macro_recall,
    "macro_f1": _macro_f1,
}
