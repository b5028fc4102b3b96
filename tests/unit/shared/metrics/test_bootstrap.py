import warnings

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
)

from shared.metrics.bootstrap import mean, perplexity
from shared.metrics.classification import class_scores, classification_metrics, confusion


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 6), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_the_values_are_those_of_scikit_learn(classes: int, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    truth, predicted = random.integers(0, classes, size=(2, count))
    found = classification_metrics(truth, predicted, classes, 100, 0.95, 0)
    options = {"labels": range(classes), "average": "macro", "zero_division": 0}
    expected = {
        "accuracy": accuracy_score(truth, predicted),
        "balanced_accuracy": _balanced(truth, predicted),
        "macro_precision": precision_score(truth, predicted, **options),
        "macro_recall": recall_score(truth, predicted, **options),
        "macro_f1": f1_score(truth, predicted, **options),
    }
    assert {name: interval.value for name, interval in found.items()} == pytest.approx(expected, abs=1e-12)


def _balanced(truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a predicted class that is not in the truth
        return float(balanced_accuracy_score(truth, predicted))


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 5), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_scores_by_class_and_the_confusion_matrix_are_those_of_scikit_learn(classes: int, count: int, seed: int) -> None:
    truth, predicted = np.random.default_rng(seed).integers(0, classes, size=(2, count))
    labels = [f"class {number}" for number in range(classes)]
    found = class_scores(truth, predicted, labels, 100, 0.95, 0)
    expected = precision_recall_fscore_support(truth, predicted, labels=range(classes), zero_division=0)
    rows = [(s.precision.value, s.recall.value, s.f1.value, s.records) for s in found]
    np.testing.assert_allclose(rows, np.transpose(expected), atol=1e-12)
    assert [scores.label for scores in found] == labels
    matrix = confusion_matrix(truth, predicted, labels=range(classes))
    np.testing.assert_array_equal(confusion(truth, predicted, classes), matrix)


def test_the_interval_holds_the_value_and_is_as_wide_as_the_binomial_says() -> None:
    count, share = 2000, 0.8
    truth = np.zeros(count, dtype=np.int64)
    predicted = (np.arange(count) >= share * count).astype(np.int64)
    accuracy = classification_metrics(truth, predicted, 2, 4000, 0.95, 1)["accuracy"]
    half = 1.96 * (share * (1 - share) / count) ** 0.5
    assert accuracy.value == pytest.approx(share)
    assert accuracy.low < accuracy.value < accuracy.high
    assert accuracy.high - accuracy.low == pytest.approx(2 * half, rel=0.1)
    assert (accuracy.high + accuracy.low) / 2 == pytest.approx(share, abs=0.1 * half)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random, hits = np.random.default_rng(3), 0
    for trial in range(200):
        predicted = (random.random(400) < 0.3).astype(np.int64)
        accuracy = classification_metrics(np.ones(400, dtype=np.int64), predicted, 2, 200, 0.9, trial)["accuracy"]
        hits += accuracy.low <= 0.3 <= accuracy.high
    assert 165 <= hits <= 195  # 180 expected, standard deviation 4.2


def test_more_confidence_is_a_wider_interval() -> None:
    truth, predicted = np.random.default_rng(1).integers(0, 3, size=(2, 300))
    narrow, wide = (classification_metrics(truth, predicted, 3, 500, c, 7)["macro_f1"] for c in (0.6, 0.99))
    assert wide.low < narrow.low <= narrow.high < wide.high


def test_metrics_follow_from_their_seed() -> None:
    truth, predicted = np.random.default_rng(2).integers(0, 3, size=(2, 100))
    first, again, other = (classification_metrics(truth, predicted, 3, 300, 0.95, seed) for seed in (5, 5, 6))
    assert first == again
    assert first["accuracy"].value == other["accuracy"].value
    assert first != other
    losses, tokens = np.random.default_rng(2).uniform(1, 9, size=(2, 50))
    assert perplexity(losses, tokens).interval(200, 0.95, 5) == perplexity(losses, tokens).interval(200, 0.95, 5)
    assert perplexity(losses, tokens).interval(200, 0.95, 5) != perplexity(losses, tokens).interval(200, 0.95, 6)


def test_perplexity_is_over_all_tokens_not_over_records() -> None:
    losses, tokens = np.array([10.0, 2.0]), np.array([5.0, 4.0])
    found = perplexity(losses, tokens).interval(200, 0.95, 0)
    assert found.value == pytest.approx(np.exp(12 / 9))
    # Resamples of two records are (first, first), both, or (second, second).
    assert found.low == pytest.approx(np.exp(2 / 4))
    assert found.high == pytest.approx(np.exp(10 / 5))


def test_sums_give_the_same_interval_as_counting_over_the_matrix() -> None:
    truth, predicted = np.random.default_rng(4).integers(0, 2, size=(2, 800))
    by_matrix = classification_metrics(truth, predicted, 2, 3000, 0.95, 1)["accuracy"]
    by_sums = mean("accuracy", (truth == predicted).astype(np.float64)).interval(3000, 0.95, 2)
    assert by_sums.value == pytest.approx(by_matrix.value)
    assert (by_sums.low, by_sums.high) == pytest.approx((by_matrix.low, by_matrix.high), abs=0.005)
