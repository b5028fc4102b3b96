from collections.abc import Sequence

import numpy as np
import pytest
from fixture_types import ConfigOf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from server.aggregation import Setting, begin
from shared.adapters.state import AdapterState
from shared.config.aggregation import AggregationSection
from shared.errors import ConfigError, RunError

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
CENTRAL = {"privacy.trust": "central", "privacy.unit": "site"}


def aggregate(rows: Sequence[Floats], **section: object) -> Floats:
    """One delta a row, by the method of the section."""
    deltas = [AdapterState({"x": np.float32(row)}) for row in rows]
    running = begin(
        Setting(deltas[0], dict.fromkeys(map(str, range(len(rows))), 1.0), AggregationSection.model_validate(section))
    )
    for delta in deltas:
        running.fold(delta, 1.0)
    return running.result().change.arrays["x"]


def rows(least: int) -> st.SearchStrategy[Floats]:
    shapes = st.tuples(st.integers(least, least + 4), st.integers(1, 4))
    return hnp.arrays(np.float32, shapes, elements=st.floats(-100, 100, width=32))


@given(st.data(), st.integers(1, 3))
def test_f_arbitrary_sites_cannot_leave_the_range_of_the_honest_ones(data: st.DataObject, f: int) -> None:
    honest = data.draw(rows(f + 1))
    any_number = st.floats(-float(np.float32(3e38)), float(np.float32(3e38)), width=32)
    evil = data.draw(hnp.arrays(np.float32, (f, honest.shape[1]), elements=any_number))
    order = data.draw(st.permutations(range(len(honest) + f)))
    found = aggregate(np.concatenate([honest, evil])[order], method="trimmed_mean", trim=f)
    assert (found >= honest.min(axis=0)).all()
    assert (found <= honest.max(axis=0)).all()


@given(rows(1))
def test_trimming_nothing_is_the_mean(deltas: Floats) -> None:
    found = aggregate(deltas, method="trimmed_mean", trim=0)
    np.testing.assert_allclose(found, aggregate(deltas), rtol=1e-6, atol=1e-6)


@given(rows(3), st.randoms(use_true_random=False))
def test_the_order_of_the_sites_does_not_show(deltas: Floats, random: object) -> None:
    shuffled = list(deltas)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (aggregate(each, method="trimmed_mean") for each in (deltas, shuffled))
    assert one.tobytes() == other.tobytes()


def test_two_replies_leave_nothing_to_average() -> None:
    with pytest.raises(RunError, match=r"aggregation\.trim = 1: leaves nothing of 2 replies"):
        aggregate(np.zeros((2, 1), np.float32), method="trimmed_mean")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cohort.quorum": 2}, "cohort.quorum = 2: aggregation.method = 'trimmed_mean' needs 3 replies"),
        ({"cohort.quorum": 3, "aggregation.weights": "declared"}, "counts all sites the same; set 'uniform'"),
        ({"cohort.quorum": 3, **CENTRAL}, "what one site can change in it has no bound"),
        ({"cohort.quorum": 3, "aggregation.method": "mean", "aggregation.trim": 1}, "does not apply to method = 'mean'"),
    ],
)
def test_what_it_cannot_be_combined_with_is_refused(config_of: ConfigOf, changes: dict[str, object], says: str) -> None:
    sites = [{"id": f"s{i}", "file": "x.csv", "declared_size": 50} for i in range(5)]
    robust = {"data.sites": sites, "aggregation.method": "trimmed_mean"}
    config_of({**robust, "cohort.quorum": 3, "aggregation.trim": 1})
    with pytest.raises(ConfigError) as caught:
        config_of({**robust, **changes})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
