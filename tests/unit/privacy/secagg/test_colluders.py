"""The table of colluders: in every row the epsilon of the sum that has least noise left, and never a claim without noise."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from privacy.accounting import Accountant
from privacy.mechanism_event import MechanismEvent
from privacy.privacy_loss import SEARCH_GRID
from privacy.secagg.colluders import colluder_rows
from privacy.secagg.shared_plan import SharedNoise
from shared.errors import PrivacyError

SHARED = SharedNoise(sites=5, fewest=3, colluders=1, expected_batch=60.0, slack=0.0)
SUMS = [SHARED.shares(1.0, 2.0, 50, sites) for sites in (3, 5)]
EVENTS = [MechanismEvent(0.2, 2.0, 1)] * 4


def test_the_planned_row_repeats_the_claim_and_more_colluders_cost_epsilon() -> None:
    rows = colluder_rows(SUMS, EVENTS, 1e-4, Accountant(), Accountant(SEARCH_GRID))
    assert [row["colluders"] for row in rows] == [0, 1, 2]
    assert rows[1]["epsilon"] == Accountant().epsilon(EVENTS, 1e-4)
    assert rows[0]["epsilon"] < rows[1]["epsilon"] < rows[2]["epsilon"]


class Quick(Accountant):
    """Gives one figure, because losses under little noise take minutes to compute."""

    def epsilon(self, events: Iterable[MechanismEvent], target_delta: float) -> float:
        return 1000.0


def test_where_too_little_noise_is_left_there_is_no_epsilon() -> None:
    weak = [replace(each, noise_multiplier=0.012) for each in SUMS]
    events = [replace(event, noise_multiplier=0.012) for event in EVENTS]
    rows = colluder_rows(weak, events, 1e-4, Quick(), Quick())
    assert [row["epsilon"] for row in rows] == [1000.0, 1000.0, None]


def test_charges_with_another_noise_than_the_sums_have_no_table() -> None:
    with pytest.raises(PrivacyError, match="several noise multipliers"):
        colluder_rows(SUMS, [*EVENTS, MechanismEvent(0.2, 3.0, 1)], 1e-4, Accountant(), Accountant())
