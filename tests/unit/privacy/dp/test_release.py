import math

import numpy as np
import pytest
from fixture_types import ConfigOf
from hypothesis import given, settings
from hypothesis import strategies as st
from silence import silence

from privacy.dp.release import metrics_event, release_label_counts, release_sums
from privacy.dp.run_plans import plan_for_site
from shared.config.data_stage import BalanceSection
from shared.config.privacy import PrivacySection
from shared.errors import PrivacyError

PRIVACY = PrivacySection(release="metrics", release_noise=5.0, release_loss_bound=4.0)
losses = st.lists(st.floats(width=32), min_size=1, max_size=30)
# The deviation of 1,000 draws is off by 2.2 %, so a check of 11 % is a false alarm once in a million runs. With one sum too
# many or too few the noise is 18 or 22 % off, which is missed once in 30,000 runs.
DRAWS = 1000


def unit_rows(values: np.ndarray, hits: np.ndarray | None) -> np.ndarray:  # type: ignore[type-arg]
    """Return each record's contribution to the sum, in units of the sensitivity, by differences of noiseless sums."""
    bound, parts = PRIVACY.release_loss_bound, 3 if hits is not None else 2
    rows = []
    for i in range(len(values)):
        with pytest.MonkeyPatch.context() as patch:
            silence(patch)
            whole = release_sums(values, hits, PRIVACY)
            rest = release_sums(np.delete(values, i), None if hits is None else np.delete(hits, i), PRIVACY)
        numbers = [(whole.loss - rest.loss) / bound, whole.records - rest.records]
        numbers += [] if whole.hits is None or rest.hits is None else [whole.hits - rest.hits]
        rows.append(np.array(numbers) / math.sqrt(parts))
    return np.stack(rows)


@settings(max_examples=40, deadline=None)
@given(losses, st.booleans())
def test_one_record_moves_the_sums_by_at_most_the_bound_that_is_accounted(values: list[float], with_hits: bool) -> None:
    """Whatever a record's loss is: infinite and undefined ones included."""
    array = np.array(values)
    rows = unit_rows(array, (array > 0).astype(float) if with_hits else None)
    assert (np.linalg.norm(rows, axis=1) <= 1 + 1e-9).all()


def test_the_noise_is_what_the_event_says() -> None:
    event = metrics_event(PRIVACY)
    assert (event.sampling_rate, event.noise_multiplier, event.steps, event.purpose) == (1.0, 5.0, 1, "metrics")
    drawn = [release_sums(np.full(10, 1.0), np.ones(10), PRIVACY) for _ in range(DRAWS)]
    for values, mean, scale in (
        ([d.records for d in drawn], 10.0, 1.0),
        ([d.hits for d in drawn], 10.0, 1.0),
        ([d.loss for d in drawn], 10.0, 4.0),
    ):
        std = 5.0 * math.sqrt(3) * scale
        assert abs(np.mean(values) - mean) < 5 * std / math.sqrt(DRAWS)  # type: ignore[arg-type]
        assert np.std(values) == pytest.approx(std, rel=0.11)  # type: ignore[arg-type]


def test_a_task_without_hits_spends_its_noise_on_two_sums() -> None:
    drawn = np.array([release_sums(np.ones(4), None, PRIVACY).records for _ in range(DRAWS)])
    assert np.std(drawn) == pytest.approx(5.0 * math.sqrt(2), rel=0.11)


def test_the_plan_pays_for_what_is_released(config_of: ConfigOf) -> None:
    fast = {"training.rounds": 2, "training.steps": 3, "training.sampling_rate": 1.0, "privacy.epsilon": 0.5}
    without = plan_for_site(config_of(fast), 1000)
    plan = plan_for_site(config_of({**fast, "privacy.release": "metrics", "privacy.release_noise": 30.0}), 1000)
    assert plan is not None
    assert without is not None
    assert [event.purpose for event in plan.events] == ["training", "metrics"]
    assert plan.noise_multiplier > without.noise_multiplier
    assert 0.99 * 0.5 <= plan.epsilon() <= 0.5
    assert plan.digest() != without.digest()


def test_more_units_than_64_bits_hold_the_sum_of_are_refused() -> None:
    shares = np.broadcast_to(np.array([1.0]), (2**20 + 1, 1))
    with pytest.raises(PrivacyError, match=r"more than 1,048,576 units.*balance.weights"):
        release_label_counts(shares, BalanceSection(weights="counts"))
