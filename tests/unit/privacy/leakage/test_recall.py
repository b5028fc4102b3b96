import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.leakage.recall import Recall, merge_recalls, overall

recalls = st.integers(0, 10_000).flatmap(lambda n: st.integers(0, n).map(lambda k: Recall(k, n)))


def test_the_wilson_interval_is_the_published_one() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3: 81/263, 15/148, 0/20 and 1/29.
    for found, total, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        interval = Recall(found, total).interval()
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@given(recalls)
def test_the_interval_holds_the_share_and_stays_within_0_and_1(recall: Recall) -> None:
    interval = recall.interval()
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_nothing_to_find_says_nothing() -> None:
    interval = Recall(0, 0).interval()
    assert (interval.low, interval.high) == (0.0, 1.0)


def test_more_found_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="found"):
        Recall(3, 2)


def test_recalls_of_sites_add_up_by_label() -> None:
    merged = merge_recalls([{"PERSON": Recall(1, 2)}, {"PERSON": Recall(3, 3), "AGE": Recall(0, 1)}])
    assert merged == {"AGE": Recall(0, 1), "PERSON": Recall(4, 5)}
    assert overall(merged) == Recall(4, 6)
