import numpy as np
import pytest
from fixture_types import ConfigOf
from hypothesis import given
from hypothesis import strategies as st

from client.data_stage import balance
from client.data_stage.balance import inverse_shares, label_weights, resampled
from client.units import TrainingSet
from shared.config.data_stage import BalanceSection
from shared.tasks.examples import Example

counts = st.lists(st.floats(-50, 10_000), min_size=2, max_size=6).map(np.array)


def data(labels: str) -> TrainingSet:
    return TrainingSet.of([Example(np.array([7]), int(label)) for label in labels])


@given(counts, st.floats(1, 50))
def test_weights_are_bounded_positive_and_higher_for_rarer_labels(found: np.ndarray, largest: float) -> None:
    weights = inverse_shares(found, BalanceSection(largest_weight=largest))
    assert np.isfinite(weights).all()
    assert (weights > 0).all()
    assert (weights <= largest).all()
    order = np.argsort(found, kind="stable")
    assert (np.diff(weights[order]) <= 1e-9).all()


def test_public_shares_weigh_each_label_the_same_in_all(config_of: ConfigOf) -> None:
    config = config_of({"balance": {"weights": "public", "label_shares": [0.8, 0.2]}})
    weights = label_weights(data("0001"), config, private=True)
    assert weights is not None
    np.testing.assert_allclose(weights * [0.8, 0.2], [0.5, 0.5])


def test_counts_are_exact_without_privacy_and_noised_with_it(config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of({"balance.weights": "counts"})
    exact = label_weights(data("0001"), config, private=False)
    assert exact is not None
    np.testing.assert_allclose(exact * [0.75, 0.25], [0.5, 0.5])
    asked = []
    monkeypatch.setattr(balance, "release_label_counts", lambda shares, _: asked.append(shares) or np.array([1.0, 1.0]))
    noised = label_weights(data("0001"), config, private=True)
    assert noised is not None
    assert noised.tolist() == [1, 1]
    assert np.linalg.norm(asked[0], axis=1).max() <= 1


def test_no_weights_without_asking(config_of: ConfigOf) -> None:
    assert label_weights(data("01"), config_of(), private=True) is None


@pytest.mark.parametrize(("how", "of_each"), [("over", 6), ("under", 2)])
def test_resampling_evens_out_the_labels_by_whole_units(config_of: ConfigOf, how: str, of_each: int) -> None:
    found = resampled(data("00000011"), config_of({"balance.resample": how, "privacy.enabled": False}), "north")
    labels = [found.label(unit) for unit in found.units]
    assert (labels.count(0), labels.count(1)) == (of_each, of_each)
    assert resampled(data("00000011"), config_of(), "north").units == data("00000011").units
