import math
from collections.abc import Sequence
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from silence import silence

from privacy.dp.plan import PrivacyPlan
from server.aggregation import Aggregate, Setting, begin, method_of
from server.aggregation.gradient_step import STEPS as GRADIENT_STEPS
from server.aggregation.mean import Mean
from server.aggregation.method import Collected, Method
from server.aggregation.optimiser import STEPS
from shared.adapters.state import AdapterState
from shared.config import aggregation as module
from shared.config.aggregation import METHODS, OPTIMISERS, AggregationSection, Contract, MethodName, OptimiserName
from shared.errors import PrivacyError, RunError

numbers = st.floats(-100, 100, width=32)
LARGEST = 100.0


def mean(deltas: Sequence[AdapterState], weights: Sequence[float], largest: float = LARGEST) -> AdapterState:
    """Aggregate all deltas."""
    running = Mean(Setting(deltas[0], {str(i): w for i, w in enumerate(weights)}, AggregationSection(max_norm=largest)))
    for delta, weight in zip(deltas, weights, strict=True):
        running.fold(delta, weight)
    return running.result().change


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


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=9), st.data())
def test_the_mean_does_not_depend_on_the_order(values: list[float], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(1, 10**6), min_size=len(values), max_size=len(values)))
    pairs = list(zip([AdapterState({"x": np.float32([value])}) for value in values], map(float, weights), strict=True))
    shuffled = data.draw(st.permutations(pairs))
    one, other = (mean([d for d, _ in each], [w for _, w in each]) for each in (pairs, shuffled))
    assert one.digest() == other.digest()


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

    shape = AdapterState({"x": np.zeros((1000, 100), np.float32)})
    running = Mean(Setting(shape, {"north": 1.0}, AggregationSection()))
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


def test_every_method_and_optimiser_of_the_config_has_its_code() -> None:
    named = {*METHODS, *(contract.central for contract in METHODS.values())} - {None}
    assert all(issubclass(method_of(str(name)), Method) for name in named)
    assert set(METHODS) == set(get_args(MethodName))
    assert set(OPTIMISERS) == set(get_args(OptimiserName)) == {*STEPS, *GRADIENT_STEPS}


def test_a_trusted_servers_noise_covers_a_delta_that_counts_once_whatever_its_weight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silence(monkeypatch)
    plan = PrivacyPlan(0.5, 2.0, 1.5, 1, 3, 1e-4, 200, unit="site", trust="central")
    delta = AdapterState({"x": np.full((30, 40), 7, np.float32)})
    found = begin(Setting(delta, {"north": 5000.0}, AggregationSection(), plan))
    found.fold(delta, 5000.0)
    assert found.result().change.norm * plan.expected_batch <= 1.5 * (1 + 1e-6)


def test_noise_without_a_plan_is_refused() -> None:
    with pytest.raises(PrivacyError, match="without a privacy plan"):
        method_of("noised_mean")(Setting(AdapterState({}), {}, AggregationSection()))


class Sum(Collected):
    def combine(self, deltas: Sequence[AdapterState], weights: Sequence[float]) -> Aggregate:
        total = np.sum([d.arrays["x"] * np.float32(w) for d, w in zip(deltas, weights, strict=True)], axis=0)
        return Aggregate(AdapterState({"x": total}))


def test_a_collected_method_gets_all_deltas_at_once() -> None:
    running = Sum(Setting(AdapterState({"x": np.zeros(2, np.float32)}), {"a": 2.0, "b": 3.0}, AggregationSection()))
    for weight in (2.0, 3.0):
        running.fold(AdapterState({"x": np.float32([1, -1])}), weight)
    np.testing.assert_array_equal(running.result().change.arrays["x"], [5, -5])


def test_deltas_that_would_not_fit_in_memory_are_not_collected() -> None:
    shape = AdapterState({"x": np.broadcast_to(np.float32(0), (1 << 20, 64))})
    Sum(Setting(shape, dict.fromkeys(map(str, range(32)), 1.0), AggregationSection()))
    with pytest.raises(RunError, match=r"deltas of 33 sites, 8\.2 GiB, of at most 8; set method = 'mean'"):
        Sum(Setting(shape, dict.fromkeys(map(str, range(33)), 1.0), AggregationSection()))


def test_what_a_contract_rules_out_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.METHODS, "mean", Contract(quorum=lambda _: 3))  # type: ignore[arg-type]
    plain, declared = AggregationSection(), AggregationSection(weights="declared")
    plain.refuse_unfit("local", 3)
    cases = [(plain, "central", 3, "has no bound"), (plain, "distributed", 3, "shows only their sum")]
    cases += [(declared, None, 3, "counts all sites the same"), (plain, None, 2, "cohort.quorum = 2: .* needs 3 replies")]
    for section, trust, quorum, says in cases:
        with pytest.raises(ValueError, match=says) as caught:
            section.refuse_unfit(trust, quorum)
        assert "\n" not in str(caught.value)
    with pytest.raises(PrivacyError, match="has no guarantee"):
        plan = PrivacyPlan(0.5, 2.0, 1.5, 1, 3, 1e-4, 200, unit="site", trust="central")
        begin(Setting(AdapterState({}), {}, plain, plan))
