import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from shared.metrics.calibration import calibration


def drawn(records: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, classes, size=records), random.dirichlet(np.ones(classes), size=records)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_brier_score_and_log_loss_are_those_of_scikit_learn(classes: int) -> None:
    truth, given = drawn(300, classes, classes)
    found = calibration(truth, given, 100, 0.95, 0)
    names = list(range(classes))
    assert found.brier.value == pytest.approx(brier_score_loss(truth, given, labels=names, scale_by_half=False))
    assert found.log_loss.value == pytest.approx(log_loss(truth, given, labels=names))


def test_the_bins_are_those_of_scikit_learn_and_make_up_the_error() -> None:
    truth, given = drawn(500, 4, 1)
    found = calibration(truth, given, 100, 0.95, 0)
    right, stated = calibration_curve(given.argmax(axis=1) == truth, given.max(axis=1), n_bins=10)
    filled = [row for row in found.bins if row.records]
    assert [row.accuracy for row in filled] == pytest.approx(right)
    assert [row.confidence for row in filled] == pytest.approx(stated)
    assert sum(row.records for row in found.bins) == 500
    weighted = sum(row.records * abs(row.accuracy - row.confidence) for row in filled) / 500
    assert found.error.value == pytest.approx(weighted)


def test_a_model_that_means_what_it_says_is_calibrated_and_an_overconfident_one_is_not() -> None:
    random = np.random.default_rng(2)
    sure = random.uniform(0.5, 1, size=6000)
    truth = (random.random(6000) >= sure).astype(np.int64)  # class 0 as often as stated
    honest = calibration(truth, np.column_stack((sure, 1 - sure)), 100, 0.95, 0)
    boast = calibration(truth, np.tile([0.99, 0.01], (6000, 1)), 100, 0.95, 0)
    assert honest.error.value < 0.03
    assert boast.error.low > 0.2


def test_a_certain_mistake_has_a_finite_log_loss() -> None:
    found = calibration(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]), 100, 0.95, 0)
    assert np.isfinite(found.log_loss.value)
    assert found.error.value == pytest.approx(0.5)
