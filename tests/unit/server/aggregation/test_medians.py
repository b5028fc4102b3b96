"""What a minority of dishonest sites can do to the medians, however large their deltas are."""

import numpy as np
import pytest
from fixture_types import ConfigOf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from server.aggregation import Setting, begin
from shared.adapters.state import AdapterState
from shared.config.aggregation import AggregationSection
from shared.errors import ConfigError

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
MEDIANS = ("median", "geometric_median")


def aggregate(rows: Floats, method: str) -> Floats:
    """One delta a row, in two tensors."""
    deltas = [AdapterState({"x": np.float32(row[:1]), "y": np.float32(row[1:]).reshape(1, -1)}) for row in rows]
    running = begin(
        Setting(
            deltas[0], dict.fromkeys(map(str, range(len(rows))), 1.0), AggregationSection.model_validate({"method": method})
        )
    )
    for delta in deltas:
        running.fold(delta, 1.0)
    change = running.result().change.arrays
    return np.concatenate([change["x"], change["y"].ravel()])


def near(count: int) -> st.SearchStrategy[Floats]:
    return hnp.arrays(np.float32, st.tuples(st.just(count), st.just(3)), elements=st.floats(-1, 1, width=32))


@given(st.data(), st.integers(1, 3), st.floats(10, 1e30))
def test_a_minority_cannot_leave_the_range_of_the_honest_sites_by_the_median(
    data: st.DataObject, f: int, size: float
) -> None:
    honest, evil = data.draw(near(f + 1)), np.float32(size) * (1 + data.draw(near(f)))
    found = aggregate(np.concatenate([evil, honest]), "median")
    assert (found >= honest.min(axis=0)).all()
    assert (found <= honest.max(axis=0)).all()


@given(near(5), st.floats(10, 1e15))
def test_a_minority_moves_the_geometric_median_by_a_multiple_of_the_honest_spread(honest: Floats, size: float) -> None:
    evil = np.full((2, 3), size, np.float32)
    moved = aggregate(np.concatenate([evil, honest]), "geometric_median") - honest.mean(axis=0)
    spread = max(np.linalg.norm(honest - honest.mean(axis=0), axis=1).max(), 1e-3)
    assert np.linalg.norm(moved) <= 2 * 5 / (5 - 2) * spread + 1e-3  # 2 (1 - a) / (1 - 2 a) with a = 2 of 7


def test_the_geometric_median_has_the_smallest_sum_of_distances() -> None:
    rows = np.random.default_rng(3).normal(size=(7, 4)).astype(np.float32)
    found = aggregate(rows, "geometric_median").astype(np.float64)

    def cost(point: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
        return float(np.linalg.norm(rows - point, axis=1).sum())

    for step in 1e-3 * np.random.default_rng(4).normal(size=(50, 4)):
        assert cost(found) <= cost(found + step) + 1e-7


@pytest.mark.parametrize("method", MEDIANS)
@given(hnp.arrays(np.float32, (4, 3), elements=st.floats(-100, 100, width=32)), st.permutations(range(4)))
def test_the_order_of_the_sites_does_not_show(method: str, rows: Floats, order: list[int]) -> None:
    assert aggregate(rows, method).tobytes() == aggregate(rows[order], method).tobytes()


@pytest.mark.parametrize("method", MEDIANS)
def test_where_sums_hide_the_replies_and_where_they_are_too_few_they_are_refused(config_of: ConfigOf, method: str) -> None:
    sites = [{"id": f"s{i}", "file": "x.csv", "declared_size": 50} for i in range(5)]
    robust = {"data.sites": sites, "aggregation.method": method, "cohort.quorum": 3}
    config_of(robust)
    for changes, says in (
        ({"cohort.quorum": 2}, "needs 3 replies"),
        ({"privacy.trust": "central", "privacy.unit": "site"}, "what one site can change in it has no bound"),
        ({"privacy.trust": "distributed", "training.steps": 1}, "shows only their sum"),
    ):
        with pytest.raises(ConfigError, match=says):
            config_of({**robust, **changes})
