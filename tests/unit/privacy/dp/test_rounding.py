import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.dp.rounding import PER_ROOT, rounding_slack

DTYPES = sorted(PER_ROOT)


@given(st.sampled_from(DTYPES), st.floats(0.1, 1e5), st.floats(1, 100))
def test_more_records_cost_more_and_never_less_than_one(dtype: str, batch: float, times: float) -> None:
    assert PER_ROOT[dtype] <= rounding_slack(dtype, batch) <= rounding_slack(dtype, batch * times)


@given(st.sampled_from(DTYPES), st.floats(1, 1e5))
def test_four_times_the_records_cost_twice(dtype: str, batch: float) -> None:
    assert rounding_slack(dtype, 4 * batch) == pytest.approx(2 * rounding_slack(dtype, batch))


def test_four_bits_are_computed_with_in_sixteen_and_cost_as_much() -> None:
    assert rounding_slack("nf4", 100) == rounding_slack("bfloat16", 100) > rounding_slack("float32", 100)
