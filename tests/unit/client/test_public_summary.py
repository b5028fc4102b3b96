"""A public summary understates no epsilon, tells no small count, and does not follow from records."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.display import summary_lines
from client.public_summary import count_band, epsilon_band, summary
from privacy.budget import Budget, Limit
from privacy.dp.plan import PrivacyPlan
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger
from shared.wire.chain_head import ChainHead

PLAN = PrivacyPlan(1.0, 20.0, 1.0, steps_per_round=1, rounds=6, target_delta=1e-4, declared_size=40)


def used(folder: Path, *, records: int, answered: bool, sets: int, plan: PrivacyPlan | None = PLAN) -> Path:
    """Return a ledger with six rounds of one run, over this many records in this many data sets."""
    ledger = Ledger(folder, "north")
    for number in range(1, 7):
        ids = [(bytes([number % sets, place]) * 8,) for place in range(records)]
        budget = Budget(ledger, Dataset(ids), Limit(1000.0, 1e-4))
        budget.reserve("one", number, plan, ChainHead())
        if answered:
            budget.commit("one", number)
    return folder


def test_a_public_summary_is_the_same_whatever_the_records_are(tmp_path: Path) -> None:
    cases: list[dict[str, Any]] = [
        {"records": 3, "answered": True, "sets": 1},
        {"records": 30, "answered": False, "sets": 1},
        {"records": 3, "answered": True, "sets": 3},
    ]
    found = [summary(used(tmp_path / str(i), **case), public=True) for i, case in enumerate(cases)]
    assert found[0] == found[1] == found[2]
    assert (found[0]["runs"], found[0]["rounds"]) == ("fewer than 5", "5 to 9")


def test_the_sites_own_summary_has_the_figures(tmp_path: Path) -> None:
    found = summary(used(tmp_path, records=3, answered=True, sets=1), public=False)
    assert (found["runs"], found["rounds"]) == ("1", "6")
    banded = summary(tmp_path, public=True)["epsilon_at_most"]
    assert banded / 2 < found["epsilon_at_most"] < banded


def test_a_round_without_privacy_is_said_and_no_epsilon_told(tmp_path: Path) -> None:
    found = summary(used(tmp_path, records=3, answered=True, sets=1, plan=None), public=True)
    assert found["epsilon_at_most"] is None
    assert "without privacy" in "".join(map(str, summary_lines(found)))


@given(st.floats(0, 1e6))
def test_a_band_is_never_below_the_epsilon(epsilon: float) -> None:
    band = epsilon_band(epsilon)
    assert epsilon <= band <= max(0.25, 2 * epsilon)


@given(st.integers(0, 10**6))
def test_counts_in_one_band_cannot_be_told_apart(count: int) -> None:
    low, high = (1, 4) if 0 < count < 5 else (5, 9) if 5 <= count < 10 else (0, 0)
    if count >= 10:
        low = 10 ** (len(str(count)) - 1)
        high = 10 * low - 1
    assert {count_band(low), count_band(high)} == {count_band(count)}


@pytest.mark.parametrize(("count", "band"), [(0, "none"), (1, "fewer than 5"), (5, "5 to 9"), (120, "100 to 999")])
def test_bands_read_well(count: int, band: str) -> None:
    assert count_band(count) == band
