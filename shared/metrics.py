"""Measures of a model, each with a bootstrap interval."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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


def classification_metrics(
    truth: Ints, predicted: Ints, classes: int, resamples: int, confidence: float, seed: int
) -> Mapping[str, Interval]:
    """Accuracy, macro precision, macro recall and macro F1 of predictions (N,), by percentile bootstrap over records.

    Resampling N records with replacement is one multinomial draw over the cells of the confusion matrix (Efron 1979).
    A class without a true or predicted record counts as 0, as in scikit-learn.
    """
    cells = np.bincount(truth * classes + predicted, minlength=classes * classes)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(truth), cells / len(truth), size=resamples)
    both = np.concatenate((cells[None], drawn)).reshape(-1, classes, classes).astype(np.float64)
    return {name: _interval(measure(both), confidence) for name, measure in _MEASURES.items()}


def perplexity(losses: Floats, tokens: Floats, resamples: int, confidence: float, seed: int) -> Interval:
    """exp(total negative log-likelihood / total tokens) of N records, by percentile bootstrap over records."""
    generator = np.random.default_rng(seed)
    count = len(losses)
    values = [np.exp(losses.sum() / tokens.sum())]
    for _ in range(resamples):
        chosen = generator.integers(0, count, size=count)
        values.append(np.exp(losses[chosen].sum() / tokens[chosen].sum()))
    return _interval(np.asarray(values), confidence)


def _interval(values: Floats, confidence: float) -> Interval:
    """The first value, with percentiles of the others."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values[1:], (tail, 1 - tail))
    return Interval(float(values[0]), float(low), float(high))


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
    precision, recall = _by_class(matrices)
    total = precision + recall
    scores = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(scores.mean(axis=1))


_MEASURES: Mapping[str, Callable[[Floats], Floats]] = {
    "accuracy": _accuracy,
    "macro_precision": _macro_precision,
    "macro_recall": _macro_recall,
    "macro_f1": _macro_f1,
}
