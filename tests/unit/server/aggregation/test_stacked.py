"""The mean of products of two factors: against float64, at most as far off as any other adapter of the rank."""

from random import Random

import numpy as np
import pytest
from fixture_types import ConfigOf
from hypothesis import given, settings
from hypothesis import strategies as st

from server.aggregation import Aggregate, Setting, begin
from server.aggregation.stacked import compacted
from shared.adapters.state import AdapterState
from shared.config.aggregation import AggregationSection
from shared.errors import ConfigError

B, A, HEAD = "query.lora_B.default.weight", "query.lora_A.default.weight", "head.weight"
D_OUT, D_IN, RANK = 7, 9, 3
SECTION = AggregationSection(method="stacked", weights="declared")
STACKED = {"aggregation.method": "stacked", "adapter.train": "AB", "privacy.enabled": False}
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
SITES = st.lists(st.floats(0.1, 1e3), min_size=1, max_size=5)


def state(seed: int, spread: float = 1.0) -> AdapterState:
    random = np.random.default_rng(seed)
    shapes = {A: (RANK, D_IN), B: (D_OUT, RANK), HEAD: (2, 4)}
    return AdapterState({name: np.float32(spread * random.normal(size=shape)) for name, shape in shapes.items()})


def aggregate(deltas: list[AdapterState], weights: list[float], before: AdapterState) -> Aggregate:
    running = begin(Setting(before, {str(number): weight for number, weight in enumerate(weights)}, SECTION))
    for delta, weight in zip(deltas, weights, strict=True):
        running.fold(delta, weight)
    return running.result()


def product(adapter: AdapterState) -> Floats:
    return adapter.arrays[B].astype(np.float64) @ adapter.arrays[A].astype(np.float64)


def wanted_of(deltas: list[AdapterState], weights: list[float], before: AdapterState) -> Floats:
    each = [weight * product(before.add(delta)) for delta, weight in zip(deltas, weights, strict=True)]
    return np.sum(each, axis=0) / sum(weights)


@settings(deadline=None)
@given(SITES, st.integers(0, 1000), st.randoms())
def test_the_result_is_the_best_adapter_of_the_rank_and_says_what_is_lost(
    weights: list[float], seed: int, random: Random
) -> None:
    before, deltas = state(seed), [state(seed + 1 + number) for number in range(len(weights))]
    found = aggregate(deltas, weights, before)
    wanted = wanted_of(deltas, weights, before)
    left_over = np.linalg.svd(wanted, compute_uv=False)[RANK:]  # by Eckart and Young, no matrix of the rank is nearer
    after = before.add(found.change)
    scale = float(np.linalg.norm(wanted))
    assert float(np.linalg.norm(product(after) - wanted)) == pytest.approx(np.linalg.norm(left_over), abs=1e-5 * scale)
    assert found.lost == pytest.approx(np.linalg.norm(left_over) / scale, abs=1e-6)
    heads = np.average([before.add(delta).arrays[HEAD] for delta in deltas], axis=0, weights=weights)
    np.testing.assert_allclose(after.arrays[HEAD], heads, rtol=1e-4, atol=1e-5)
    turned = list(zip(deltas, weights, strict=True))
    random.shuffle(turned)
    again = aggregate([delta for delta, _ in turned], [weight for _, weight in turned], before)
    assert again.change.digest() == found.change.digest()


@settings(deadline=None)
@given(SITES, st.integers(0, 1000))
def test_sites_with_one_a_lose_nothing(weights: list[float], seed: int) -> None:
    before = state(seed)
    deltas = [AdapterState({**state(seed + n).arrays, A: 0 * before.arrays[A]}) for n in range(1, len(weights) + 1)]
    found = aggregate(deltas, weights, before)
    wanted = wanted_of(deltas, weights, before)
    np.testing.assert_allclose(product(before.add(found.change)), wanted, atol=1e-5 * float(np.abs(wanted).max()))
    assert found.lost is not None
    assert found.lost < 1e-6


def test_the_mean_of_each_factor_is_further_off() -> None:
    before, deltas, weights = state(0), [state(1), state(2)], [1.0, 1.0]
    wanted = wanted_of(deltas, weights, before)
    running = begin(Setting(before, {"0": 1.0, "1": 1.0}, AggregationSection()))
    for delta in deltas:
        running.fold(delta, 1.0)
    apart = product(before.add(running.result().change))
    together = product(before.add(aggregate(deltas, weights, before).change))
    assert np.linalg.norm(together - wanted) < 0.9 * np.linalg.norm(apart - wanted)


def test_a_keeps_orthonormal_rows_and_turns_as_little_as_possible() -> None:
    rows, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(D_IN, RANK)))
    b = np.random.default_rng(4).normal(size=(D_OUT, RANK))
    left, right, lost, whole = compacted([(np.float32(b), np.float32(rows.T))] * 2, [0.5, 0.5])
    np.testing.assert_allclose(right, rows.T, atol=1e-6)
    np.testing.assert_allclose(left, b, atol=1e-6)
    assert lost < 1e-6 < whole


def test_sites_that_trained_nothing_leave_the_base_model_as_it_is() -> None:
    before = AdapterState({**state(0).arrays, B: np.zeros((D_OUT, RANK), np.float32)})
    nothing = AdapterState({name: np.zeros_like(array) for name, array in before.arrays.items()})
    found = aggregate([nothing, nothing], [1.0, 2.0], before)
    assert not product(before.add(found.change)).any()
    assert found.lost == 0
    assert np.linalg.matrix_rank(before.add(found.change).arrays[A]) == RANK


@pytest.mark.parametrize("trust", ["local", "central"])
def test_privacy_refuses_it_and_says_why(config_of: ConfigOf, trust: str) -> None:
    unit = "site" if trust == "central" else "record"
    with pytest.raises(ConfigError, match="the noise of one would be multiplied by that of the other"):
        config_of({"aggregation.method": "stacked", "privacy.trust": trust, "privacy.unit": unit})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"adapter.train": "B"}, "set adapter.family = 'lora', adapter.train = 'AB'"),
        ({"aggregation.optimiser": "momentum"}, "set optimiser = 'plain'"),
        ({"data.sites.0.rank": 1}, "everywhere"),
    ],
    ids=str,
)
def test_a_run_that_it_cannot_serve_is_refused(config_of: ConfigOf, changes: dict[str, object], says: str) -> None:
    assert config_of(STACKED).aggregation.method == "stacked"
    with pytest.raises(ConfigError, match=says):
        config_of({**STACKED, **changes})
