import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from server.aggregation import METHODS
from server.aggregation.mean import RunningMean
from shared.adapters.state import AdapterState

numbers = st.floats(-100, 100, width=32)
LARGEST = 100.0


def mean(deltas: Sequence[AdapterState], weights: Sequence[float], largest: float = LARGEST) -> AdapterState:
    """All at once."""
    running = RunningMean(deltas[0].spec, largest * max(weights))
    for delta, weight in zip(deltas, weights, strict=True):
        running.fold(delta, weight)
    return running.result()


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=numbers),
    st.lists(st.floats(0.1, 1e6), min_size=5, max_size=5),
)
def test_the_mean_is_numpys_weighted_mean(rows: np.ndarray, weights: list[float]) -> None:  # type: ignore[type-arg]
    found = mean([AdapterState({"x": row}) for row in rows], weights[: len(rows)])
    expected = np.average(rows.astype(np.float64), axis=0, weights=weights[: len(rows)])
    np.testing.assert_allclose(found.arrays["x"], expected, rtol=1e-6, atol=1e-5)
    assert found.arrays["x"].dtype == np.float32


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_the_mean_of_adapters_is_the_adapter_of_the_mean(sites: int, rank: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    a = random.normal(size=(rank, 6)).astype(np.float32)
    factors = random.normal(size=(sites, 5, rank)).astype(np.float32)
    weights = random.uniform(0.1, 10, sites).tolist()
    combined = mean([AdapterState({"b": b}) for b in factors], weights).arrays["b"] @ a
    np.testing.assert_allclose(combined, np.average(factors @ a, axis=0, weights=weights), atol=1e-4)


def test_the_mean_of_both_factors_would_not_be() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 2, 4)), random.normal(size=(2, 3, 2))
    assert not np.allclose(b.mean(axis=0) @ a.mean(axis=0), (b @ a).mean(axis=0), atol=0.1)


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=9), st.data())
def test_the_mean_does_not_depend_on_the_order(values: list[float], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(1, 10**6), min_size=len(values), max_size=len(values)))
    pairs = list(zip([AdapterState({"x": np.float32([value])}) for value in values], map(float, weights), strict=True))
    shuffled = data.draw(st.permutations(pairs))
    one, other = (mean([d for d, _ in each], [w for _, w in each]) for each in (pairs, shuffled))
    assert one.digest() == other.digest()


def test_numpys_own_sum_would_depend_on_it() -> None:
    # Else the test above would show nothing: here are three numbers whose float64 sums differ by order.
    a, b, c = 1e8 + 0.1, -1e8, 0.3
    assert (a + b) + c != a + (b + c)


@given(st.lists(st.floats(-100, 100, width=32, allow_subnormal=False), min_size=1, max_size=30))
def test_the_mean_is_as_good_as_exact_arithmetic(values: list[float]) -> None:
    found = float(mean([AdapterState({"x": np.float32([value])}) for value in values], [3.0] * len(values)).arrays["x"][0])
    exact = float(sum(map(Fraction, values)) / len(values))
    assert math.isclose(found, exact, rel_tol=2**-23, abs_tol=LARGEST * 2**-60)


def test_one_reply_comes_through_unchanged() -> None:
    delta = AdapterState({"x": np.float32([1e-12, 99.9, -0.1, 3e-7])})
    np.testing.assert_array_equal(mean([delta], [7.0]).arrays["x"], delta.arrays["x"])


def test_large_numbers_do_not_overflow_on_the_way() -> None:
    delta = AdapterState({"x": np.float32([3e38])})
    assert mean([delta, delta], [1e6, 1e6], 3.1e38).arrays["x"][0] == pytest.approx(3e38)


def test_memory_does_not_grow_with_the_number_of_deltas() -> None:
    import tracemalloc

    spec = (("x", (1000, 100)),)
    running = RunningMean(spec, 1.0)
    random = np.random.default_rng(0)
    peaks = []
    tracemalloc.start()
    for rounds in (4, 64):
        tracemalloc.reset_peak()
        for _ in range(rounds):
            running.fold(AdapterState({"x": random.uniform(-1, 1, (1000, 100)).astype(np.float32)}), 1.0)
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]


def test_the_mean_keeps_names_order_and_shapes() -> None:
    delta = AdapterState({"z": np.zeros((2, 1), dtype=np.float32), "a": np.zeros(3, dtype=np.float32)})
    assert mean([delta, delta], [1, 2]).spec == delta.spec


def test_the_config_names_every_method() -> None:
    from typing import get_args

    from shared.config.run import AggregationSection

    assert set(METHODS) == set(get_args(AggregationSection.model_fields["method"].annotation))
