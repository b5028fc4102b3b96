import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from dp_accounting import GaussianDpEvent, NeighboringRelation, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant, privacy_loss_distribution
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.accountants import GaussianAccountant, PRVAccountant
from opacus.accountants.analysis import rdp
from scipy.optimize import brentq
from scipy.stats import norm

from privacy import accounting, calibration
from privacy.accounting import Accountant, renyi_epsilon
from privacy.calibration import calibrate
from privacy.dp.mechanism import MOST_NUMBERS
from privacy.dp.noise import SMALLEST_STD
from privacy.mechanism_event import MechanismEvent
from privacy.privacy_loss import CLAIM_GRID, ROUNDING_LOSS, SAMPLING_LOSS, SEARCH_GRID
from privacy.renyi_filter import ORDERS, filter_epsilon, passing_epsilon, renyi_divergence
from shared.errors import PrivacyError

DELTA = 1e-5
COARSE = Accountant(SEARCH_GRID)
# (sampling rate, noise multiplier, steps): from a small demonstration to a long run, and the unsampled mechanism.
GRID = [
    (0.01, 1.1, 1000),
    (0.01, 1.5, 5000),
    (0.05, 1.3, 100),
    (0.066, 1.2, 60),
    (0.1, 0.9, 10),
    (0.1, 2.0, 500),
    (0.12, 1.1, 24),
    (0.3, 1.5, 50),
    (0.5, 3.0, 200),
    (0.9, 4.0, 100),
    (1.0, 2.0, 1),
    (1.0, 10.0, 30),
]
RATES, NOISES, STEPS = (0.004, 0.02, 0.066, 0.2, 1.0), (0.8, 1.1, 2.0, 5.0), (1, 30, 600)
FAST = [GRID[i] for i in (3, 7, 8, 11)]
POINTS = [pytest.param(*point, marks=() if point in FAST else pytest.mark.slow) for point in GRID]


@functools.cache
def ours(rate: float, noise: float, steps: int, delta: float = DELTA, grid: float = CLAIM_GRID) -> float:
    return Accountant(grid).epsilon([MechanismEvent(rate, noise, steps)], delta)


def event(rate: float, noise: float, steps: int) -> SelfComposedDpEvent:
    return SelfComposedDpEvent(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), steps)


def prv_bounds(rate: float, noise: float, steps: int, error: float) -> tuple[float, float]:
    """Lower and upper end of Opacus' accountant (Gopi et al. 2021)."""
    accountant = PRVAccountant()
    accountant.history = [(noise, rate, steps)]
    composed = accountant._get_dprv(eps_error=error, delta_error=DELTA / 1000)
    lower, _, upper = composed.compute_epsilon(DELTA, DELTA / 1000, error)
    return float(lower), float(upper)


@pytest.fixture(scope="module")
def others_compute_a_step_once() -> Iterator[None]:
    """Keep what the two libraries compute for one step, which they would compute again for each number of steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rdp, "_compute_rdp", functools.cache(rdp._compute_rdp))
        original = privacy_loss_distribution.from_gaussian_mechanism
        patch.setattr(privacy_loss_distribution, "from_gaussian_mechanism", functools.cache(original))
        yield


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.slow
@pytest.mark.usefixtures("others_compute_a_step_once")
def test_epsilon_is_that_of_two_other_accountants_on_a_grid_of_sixty(rate: float) -> None:
    """dp-accounting's own accountant gives the same, Opacus' PRV bounds enclose it, and Renyi's bound lies above."""
    relation = NeighboringRelation.ADD_OR_REMOVE_ONE
    for noise, steps in itertools.product(NOISES, STEPS):
        claimed = ours(rate, noise, steps, grid=SEARCH_GRID)
        theirs = PLDAccountant(relation, value_discretization_interval=SEARCH_GRID).compose(event(rate, noise, steps))
        left = DELTA - ROUNDING_LOSS * steps
        assert claimed == pytest.approx(theirs.get_epsilon(left) + SAMPLING_LOSS * steps, rel=1e-8)
        lower, upper = prv_bounds(rate, noise, steps, 0.1)
        assert lower <= claimed <= upper
        bound = renyi_epsilon([MechanismEvent(rate, noise, steps)], DELTA)
        assert claimed <= bound
        assert bound == pytest.approx(opacus_renyi(rate, noise, steps), rel=2e-3)


@pytest.mark.parametrize(("rate", "noise", "steps"), [GRID[i] for i in (3, 7)])
def test_epsilon_lies_within_the_tight_bounds_of_another_accountant(rate: float, noise: float, steps: int) -> None:
    lower, upper = prv_bounds(rate, noise, steps, 0.01)
    assert lower <= ours(rate, noise, steps) <= upper


def test_a_central_limit_figure_lies_below_the_truth_so_it_is_never_used() -> None:
    """What the refusal of GDP says, seen: below even the lower bound of the true value."""
    accountant = GaussianAccountant()
    accountant.history = [(1.0, 512 / 12000, 234)]
    lower, _ = prv_bounds(512 / 12000, 1.0, 234, 0.01)
    assert accountant.get_epsilon(DELTA) < 0.97 * lower


def test_two_accountants_that_contradict_each_other_claim_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "renyi_epsilon", lambda *_: 0.1)
    with pytest.raises(PrivacyError, match="two accountants contradict each other"):
        Accountant().cross_checked([MechanismEvent(0.066, 1.2, 60)], DELTA)


def opacus_renyi(rate: float, noise: float, steps: int) -> float:
    """Opacus' own Renyi accountant over the same whole orders."""
    orders = list(accounting.RENYI_ORDERS)
    divergences = rdp.compute_rdp(q=rate, noise_multiplier=noise, steps=steps, orders=orders)
    return float(rdp.get_privacy_spent(orders=orders, rdp=divergences, delta=DELTA)[0])


def analytic_epsilon(noise: float, steps: int, delta: float) -> float:
    """Return the exact epsilon of ``steps`` Gaussian mechanisms (Balle and Wang 2018, theorem 8)."""
    s = noise / math.sqrt(steps)

    def excess(eps: float) -> float:
        return norm.cdf(1 / (2 * s) - eps * s) - math.exp(eps + norm.logcdf(-1 / (2 * s) - eps * s)) - delta

    return float(brentq(excess, 0, 200, xtol=1e-12))


@pytest.mark.parametrize(("noise", "steps"), [(1.0, 1), (2.0, 1), (5.0, 100), (20.0, 30), (0.7, 1), (3.0, 4)])
@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-8])
def test_without_sampling_epsilon_is_the_closed_form_and_never_below_it(noise: float, steps: int, delta: float) -> None:
    exact = analytic_epsilon(noise, steps, delta)
    assert exact * (1 - 1e-9) <= ours(1.0, noise, steps, delta) <= exact * 1.001 + 1e-4


@settings(max_examples=3, deadline=None)
@given(st.floats(0.3, 4), st.floats(-8, -3), st.floats(0.02, 0.3), st.integers(1, 200))
def test_a_calibrated_plan_meets_its_target_and_wastes_little(
    target: float, exponent: float, rate: float, steps: int
) -> None:
    noise = Accountant().noise_multiplier(target, 10**exponent, rate, steps)
    reached = ours(rate, noise, steps, 10**exponent)
    assert reached <= target
    assert reached >= 0.99 * target
    assert noise * 1e4 == pytest.approx(round(noise * 1e4), abs=1e-6)


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(GRID), st.floats(1.02, 2), st.integers(1, 100), st.floats(1.02, 10))
@pytest.mark.slow
def test_epsilon_falls_with_noise_and_rises_with_rate_steps_and_certainty(
    point: tuple[float, float, int], factor: float, more: int, delta_factor: float
) -> None:
    rate, noise, steps = point
    here = ours(rate, noise, steps, grid=SEARCH_GRID)
    assert ours(rate, noise * factor, steps, grid=SEARCH_GRID) <= here
    assert ours(rate, noise, steps + more, grid=SEARCH_GRID) >= here
    assert ours(min(1.0, rate * factor), noise, steps, grid=SEARCH_GRID) >= here
    assert ours(rate, noise, steps, DELTA * delta_factor, SEARCH_GRID) <= here


@pytest.mark.parametrize(("rate", "noise", "steps"), POINTS)
def test_a_coarser_grid_claims_more_never_less(rate: float, noise: float, steps: int) -> None:
    fine, coarse = ours(rate, noise, steps), ours(rate, noise, steps, grid=SEARCH_GRID)
    assert fine <= coarse <= fine * 1.02


@pytest.mark.parametrize(("rate", "noise", "steps"), [GRID[6], GRID[11]])
def test_parts_of_a_run_add_up_to_the_whole(rate: float, noise: float, steps: int) -> None:
    parts = [MechanismEvent(rate, noise, steps // 2), MechanismEvent(rate, noise, steps - steps // 2)]
    assert Accountant().epsilon(parts, DELTA) == pytest.approx(ours(rate, noise, steps), rel=1e-9)


def test_two_kinds_of_releases_cost_more_than_each_and_at_most_their_sum() -> None:
    one, two = MechanismEvent(0.1, 1.0, 20), MechanismEvent(0.3, 2.0, 10)
    together = COARSE.epsilon([one, two], DELTA)
    assert together > max(COARSE.epsilon([one], DELTA), COARSE.epsilon([two], DELTA))
    assert together < COARSE.epsilon([one], DELTA / 2) + COARSE.epsilon([two], DELTA / 2)
    assert together == pytest.approx(COARSE.epsilon([two, one], DELTA), rel=1e-6)


def test_epsilon_by_round_is_epsilon_after_each_round() -> None:
    by_round = Accountant().by_round([MechanismEvent(0.12, 2.0, 6)], 3, DELTA)
    assert by_round == pytest.approx([ours(0.12, 2.0, 6 * count) for count in (1, 2, 3)], rel=1e-9)
    assert all(one < two for one, two in pairwise(by_round))


def test_no_release_has_no_cost() -> None:
    assert Accountant().epsilon([], DELTA) == 0.0


@pytest.mark.parametrize(
    ("field", "values", "says"),
    [
        ("sampling_rate", (0.0, -0.1, 1.0001, math.nan, math.inf), "sampling rate"),
        ("noise_multiplier", (0.0, -1.0, math.nan, math.inf), "noise multiplier"),
        ("steps", (0, -1), "steps"),
    ],
)
def test_a_release_that_has_no_epsilon_is_refused(field: str, values: tuple[float, ...], says: str) -> None:
    for value in values:
        with pytest.raises(PrivacyError, match=says):
            replace(MechanismEvent(0.1, 1.0, 1), **{field: value})


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan])
def test_a_delta_that_is_no_chance_is_refused(delta: float) -> None:
    with pytest.raises(PrivacyError, match="target_delta"):
        ours(0.1, 1.0, 1, delta)
    with pytest.raises(PrivacyError, match="target_delta"):
        Accountant().noise_multiplier(1.0, delta, 0.1, 1)


def test_sizes_that_are_calibrated_one_after_the_other_share_losses_and_get_the_same_noise_to_the_last_digit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    others, deltas = (MechanismEvent(0.2, 12.0, 10, "metrics"),), (1e-3, 9e-4, 8e-4)
    searched: list[float] = []
    accountant, original = Accountant(), calibration.loss_of_step

    def loss(rate: float, noise: float, grid: float) -> Any:
        searched.append(grid)
        return original(rate, noise, grid)

    monkeypatch.setattr(calibration, "loss_of_step", loss)
    alone, cold = [], 0
    for delta in deltas:
        calibration._searched.cache_clear()
        alone.append(calibrate(2.0, delta, 0.2, 10, others, accountant.epsilon))
    cold = searched.count(SEARCH_GRID)
    calibration._searched.cache_clear()
    searched.clear()
    together = [calibrate(2.0, delta, 0.2, 10, others, accountant.epsilon) for delta in deltas]
    assert together == alone
    assert len(set(alone)) == 3
    assert searched.count(SEARCH_GRID) < 0.8 * cold


def test_a_target_out_of_reach_is_refused_with_what_to_do() -> None:
    with pytest.raises(PrivacyError, match=r"cannot be reached.*fewer steps, a lower rate"):
        Accountant().noise_multiplier(1e-7, 1e-5, 1.0, 100)


def test_the_accountant_says_the_same_again_and_composes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    accountant, run = Accountant(), [MechanismEvent(0.1, 1.3, 4)] * 3
    first = accountant.epsilon(run, 1e-4)
    assert first == Accountant().epsilon(run, 1e-4)
    monkeypatch.setattr(accounting, "composed", pytest.fail)
    assert accountant.epsilon([MechanismEvent(0.1, 1.3, 5), MechanismEvent(0.1, 1.3, 7)], 1e-4) == first


@pytest.mark.parametrize("other", [MechanismEvent(0.1, 1.3, 5), MechanismEvent(0.1, 1.4, 4), MechanismEvent(0.2, 1.3, 4)])
def test_the_accountant_never_answers_for_other_events_or_another_delta(other: MechanismEvent) -> None:
    accountant, known = Accountant(), [MechanismEvent(0.1, 1.3, 4)]
    accountant.epsilon(known, 1e-4)
    assert accountant.epsilon([other], 1e-4) == Accountant().epsilon([other], 1e-4)
    assert accountant.epsilon(known, 1e-5) == Accountant().epsilon(known, 1e-5)


def test_every_sum_costs_what_drawing_its_noise_is_inexact_by() -> None:
    """2^26 numbers a sum, each within 34 / std^2 for each of two neighbours, at the smallest std that is drawn."""
    assert SAMPLING_LOSS >= MOST_NUMBERS * 2 * 34 / SMALLEST_STD**2
    library = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE).compose(event(1.0, 5.0, 3))
    by_library = library.get_epsilon(DELTA - 3 * ROUNDING_LOSS)
    assert ours(1.0, 5.0, 3) - float(by_library) == pytest.approx(3 * 2.0**-31, rel=0.01)
    assert filter_epsilon([MechanismEvent(1.0, 5.0, 3)], DELTA) > passing_epsilon(
        tuple(3 * renyi_divergence(1.0, 5.0, order) for order in ORDERS), DELTA
    )


@pytest.mark.parametrize("delta", [1e-5, 1e-9, 1e-11])
@pytest.mark.parametrize(
    "kinds", [[(100.0, 10_000)], [(10.0, 100)], [(5.0, 1)], [(1.0, 1), (20.0, 1000)], [(300.0, 90_000), (200.0, 3)]]
)
def test_many_steps_at_a_small_delta_have_no_epsilon_below_the_true_one(
    kinds: list[tuple[float, int]], delta: float
) -> None:
    """Without the charge for rounding, the first lies below it at 1e-12 (7.233 in place of 7.238)."""
    total = sum(steps / noise**2 for noise, steps in kinds)
    claimed = Accountant().epsilon([MechanismEvent(1.0, noise, steps) for noise, steps in kinds], delta)
    assert claimed >= analytic_epsilon(1 / math.sqrt(total), 1, delta)
    assert math.isinf(claimed) == (ROUNDING_LOSS * sum(steps for _, steps in kinds) >= delta)


def test_a_delta_that_rounding_may_account_for_has_no_epsilon_and_no_noise() -> None:
    assert Accountant().epsilon([MechanismEvent(1.0, 100.0, 10_000)], 1e-12) == math.inf
    with pytest.raises(PrivacyError, match=r"1e-12: no epsilon of 10000 steps .* rounding may account for 1.8e-11"):
        Accountant().noise_multiplier(8.0, 1e-12, 0.01, 10_000)


@pytest.mark.parametrize("grid", [0.0, -1e-4, 1.5, math.inf, math.nan])
def test_a_grid_out_of_range_is_refused(grid: float) -> None:
    with pytest.raises(PrivacyError, match=r"grid .*: must be above 0 and at most 1"):
        Accountant(grid)


def test_losses_that_would_fill_the_memory_are_refused() -> None:
    for event_of_many in (MechanismEvent(0.1, 1e-4, 1), MechanismEvent(1.0, 2.0, 10**9)):
        with pytest.raises(PrivacyError, match=r"use fewer steps, more noise or a lower sampling rate"):
            COARSE.epsilon([event_of_many], DELTA)
