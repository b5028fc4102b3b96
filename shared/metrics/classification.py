"""Compute metrics of a classifier, each with a bootstrap interval over records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shared.metrics.bootstrap import Floats, Interval, Ints, interval_of


@dataclass(frozen=True)
class ClassScores:
    """Precision, recall and F1 of one class; ``records`` counts the records that truly are of the class."""

    label: str
    records: int
    precision: Interval
    recall: Interval
    f1: Interval


def classification_metrics(
    truth: Ints, predicted: Ints, classes: int, resamples: int, confidence: float, seed: int
) -> Mapping[str, Interval]:
    """Return accuracy, balanced accuracy, macro precision, macro recall and macro F1 of predictions.

    As in scikit-learn, a class without a true or predicted record counts as 0, and balanced accuracy leaves out the
    classes without a true record.

    Parameters
    ----------
    truth, predicted
        The true and the predicted class of each record, (N,).
    classes
        Number of classes.
    resamples
        Number of bootstrap resamples.
    confidence
        Coverage of the intervals, 0.5 to 1.
    seed
        Seed of the resamples.
    """
    both = _resampled(truth, predicted, classes, resamples, seed)
    return {name: interval_of(measure(both), confidence) for name, measure in _MEASURES.items()}


def class_scores(
    truth: Ints, predicted: Ints, labels: Sequence[str], resamples: int, confidence: float, seed: int
) -> list[ClassScores]:
    """Return precision, recall and F1 of each class; parameters and resamples are those of ``classification_metrics``."""
    both = _resampled(truth, predicted, len(labels), resamples, seed)
    precision, recall = _by_class(both)
    columns = (precision, recall, _f1(precision, recall))
    return [
        ClassScores(label, int((truth == place).sum()), *(interval_of(values[:, place], confidence) for values in columns))
        for place, label in enumerate(labels)
    ]


def confusion(truth: Ints, predicted: Ints, classes: int) -> Ints:
    """Return the confusion matrix of N records: a row for each true class, a column for each predicted class."""
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def present_f1(truth: Ints, predicted: Ints) -> float:
    """Return macro F1 over the classes that occur among the true or the predicted ones, (N,) both, as scikit-learn does."""
    present, both = np.unique(np.concatenate((truth, predicted)), return_inverse=True)
    matrix = confusion(both[: len(truth)], both[len(truth) :], len(present))
    return float(_macro_f1(matrix[None].astype(np.float64))[0])


def _resampled(truth: Ints, predicted: Ints, classes: int, resamples: int, seed: int) -> Floats:
    """Return the confusion matrix and those of the resamples, (1 + resamples, classes, classes).

    Resampling N records with replacement is one multinomial draw over the cells of the matrix (Efron 1979).
    """
    cells = confusion(truth, predicted, classes).ravel()
    drawn = np.random.default_rng(seed).multinomial(len(truth), cells / len(truth), size=resamples)
    return np.concatenate((cells[None], drawn)).reshape(-1, classes, classes).astype(np.float64)


def _accuracy(matrices: Floats) -> Floats:
    return np.asarray(np.trace(matrices, axis1=1, axis2=2) / matrices.sum(axis=(1, 2)))


def _by_class(matrices: Floats) -> tuple[Floats, Floats]:
    """Return precision and recall by class, each (M, classes); 0 where undefined. Rows are the truth."""
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
