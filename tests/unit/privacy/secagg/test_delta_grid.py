"""The grid of sums of deltas: the mean is exact up to rounding, and no sum of deltas within the bound wraps."""

import numpy as np
import pytest
from fixture_types import ConfigOf
from hypothesis import given
from hypothesis import strategies as st

from privacy.secagg.delta_grid import DeltaGrid
from privacy.secagg.protocol import total
from shared.adapters.state import AdapterState
from shared.errors import PrivacyError

WEIGHT = st.one_of(st.just(1.0), st.integers(1, 10**7).map(float))


def state(*numbers: float) -> AdapterState:
    return AdapterState({"w": np.array(numbers, np.float32)})


@given(weights=st.lists(WEIGHT, min_size=3, max_size=12), bound=st.floats(1e-3, 1000.0), seed=st.integers(0, 999))
def test_the_mean_of_words_is_the_mean_of_deltas_up_to_half_a_step_a_site(
    weights: list[float], bound: float, seed: int
) -> None:
    sites, random = [f"s{number}" for number in range(len(weights))], np.random.default_rng(seed)
    grid = DeltaGrid(dict(zip(sites, weights, strict=True)), bound, 3)
    longest = np.float32(bound) if float(np.float32(bound)) <= bound else np.nextafter(np.float32(bound), np.float32(0))
    deltas = {
        site: state(float(longest) * (1 if random.random() < 0.5 else -1), 0, 0) for site in sites[1:]
    }  # of the largest norm
    deltas[sites[0]] = AdapterState({"w": (random.normal(size=3) * bound / 10).astype(np.float32)})
    mean = grid.mean(total([grid.words(site, delta) for site, delta in deltas.items()]), sites)
    exact = sum(grid.weights[site] * delta.arrays["w"].astype(np.float64) for site, delta in deltas.items()) / sum(weights)
    near = len(sites) * grid.step / (2 * sum(weights)) + np.abs(exact) * 2.0**-23
    assert np.all(np.abs(mean - exact) <= near)
    assert np.linalg.norm(mean) <= grid.longest(sites, 3) * (1 + 1e-6)
    assert grid.step / sum(weights) <= 4 * bound / 2**30  # and the grid is fine


def test_a_delta_beyond_the_bound_is_refused_before_it_is_rounded() -> None:
    grid = DeltaGrid({"a": 1.0, "b": 1.0, "c": 1.0}, 5.0, 3)
    grid.refuse_too_long(state(3, 4))
    for delta in (state(3, 4.001), state(np.nan), state(np.inf, 0)):
        with pytest.raises(PrivacyError, match=r"noised delta has norm .* > aggregation\.max_norm = 5"):
            grid.refuse_too_long(delta)


def test_the_grid_follows_from_the_public_config_alone(config_of: ConfigOf) -> None:
    sites = [{"id": name, "file": "x.jsonl", "declared_size": size} for name, size in (("a", 100), ("b", 300), ("c", 200))]
    changes = {"data.sites": sites, "cohort.quorum": 3, "aggregation.secure_sums": True, "aggregation.weights": "declared"}
    grid = DeltaGrid.of(config_of(changes))
    assert (grid.weights, grid.bound, grid.fewest) == ({"a": 100.0, "b": 300.0, "c": 200.0}, 100.0, 3)
    assert grid.step == 2.0 ** (10 + 7 - 30)  # 600 < 2^10, and 100 < 2^7
