import numpy as np
import pytest
from scipy.stats import binomtest

from shared.metrics.bootstrap import mean, perplexity
from shared.metrics.paired import compare


def hits(random: np.random.Generator, records: int, chance: float) -> np.ndarray:
    return (random.random(records) < chance).astype(np.float64)


@pytest.mark.slow
def test_the_p_value_agrees_with_mcnemars_exact_test() -> None:
    random = np.random.default_rng(0)
    for records, before, after in ((200, 0.6, 0.7), (400, 0.8, 0.82), (60, 0.5, 0.5)):
        first, second = hits(random, records, before), hits(random, records, after)
        gained, lost = int(((second - first) > 0).sum()), int(((second - first) < 0).sum())
        exact = binomtest(gained, gained + lost).pvalue
        found = compare(mean("accuracy", first), mean("accuracy", second), 10_000, 0.95, 1)
        assert found.p_value == pytest.approx(exact, abs=0.015)  # 3 standard deviations of the share of 10,000 orders
        assert found.change.value == pytest.approx(second.mean() - first.mean())


@pytest.mark.slow
def test_the_test_rejects_equal_models_no_more_often_than_it_says() -> None:
    random, rejected = np.random.default_rng(2), 0
    for trial in range(300):
        first, second = hits(random, 120, 0.7), hits(random, 120, 0.7)
        rejected += compare(mean("accuracy", first), mean("accuracy", second), 99, 0.95, trial).p_value <= 0.05
    # At most 15 are expected, with a standard deviation of 3.8; a test that rejects 13 % would pass once in 50 times.
    assert rejected <= 26


def test_pairing_sees_a_small_gain_that_two_single_intervals_hide() -> None:
    first, second = np.arange(600) < 450, np.arange(600) < 462  # right wherever the first is, and on 12 more
    before, after = mean("accuracy", first.astype(np.float64)), mean("accuracy", second.astype(np.float64))
    assert after.interval(500, 0.95, 0).low <= before.interval(500, 0.95, 0).high
    found = compare(before, after, 500, 0.95, 0)
    assert found.change.low > 0
    assert found.p_value < 0.05


def test_a_model_against_itself_changes_nothing() -> None:
    same = mean("accuracy", hits(np.random.default_rng(1), 50, 0.5))
    found = compare(same, same, 100, 0.95, 0)
    assert (found.change.value, found.change.low, found.change.high, found.p_value) == (0, 0, 0, 1)


def test_a_measure_that_is_no_mean_is_compared_over_all_its_records() -> None:
    losses, tokens = np.random.default_rng(5).uniform(1, 9, size=(2, 80))
    found = compare(perplexity(losses, tokens), perplexity(losses * 0.9, tokens), 500, 0.95, 0)
    before = np.exp(losses.sum() / tokens.sum())
    assert found.change.value == pytest.approx(before**0.9 - before)
    assert found.change.high < 0
    assert found.p_value == pytest.approx(1 / 501)


def test_models_on_other_records_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same records"):
        compare(mean("accuracy", np.ones(3)), mean("accuracy", np.ones(4)), 100, 0.95, 0)
