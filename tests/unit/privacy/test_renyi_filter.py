import math
from collections.abc import Sequence

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent, NeighboringRelation, PoissonSampledDpEvent
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.accountants.analysis.rdp import compute_rdp

from privacy.accounting import Accountant
from privacy.mechanism_event import MechanismEvent
from privacy.privacy_loss import SAMPLING_LOSS, SEARCH_GRID
from privacy.renyi_filter import ORDERS, filter_epsilon, passing_epsilon, renyi_divergence
from shared.errors import PrivacyError

DELTA = 1e-5
EVENTS = st.builds(
    MechanismEvent, st.sampled_from([0.001, 0.02, 0.3, 1.0]), st.floats(0.4, 30), st.integers(1, 500)
)  # from a rate that nobody notices to every unit in each step
Mechanism = tuple[Sequence[float], Sequence[float]]  # chances of each outcome with a unit, and without it


def conversion(order: int, delta: float) -> float:
    return math.log1p(-1 / order) - math.log(delta * order) / (order - 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=5), st.floats(-8, -2))
def test_the_figure_is_that_of_another_librarys_accountant_at_a_share_of_delta(
    events: list[MechanismEvent], exponent: float
) -> None:
    """dp-accounting adds up the same divergences of the same orders."""
    theirs = RdpAccountant(ORDERS, NeighboringRelation.ADD_OR_REMOVE_ONE)
    for event in events:
        theirs.compose(PoissonSampledDpEvent(event.sampling_rate, GaussianDpEvent(event.noise_multiplier)), event.steps)
    expected = float(theirs.get_epsilon(10**exponent / len(ORDERS)))
    found = filter_epsilon(events, 10**exponent) - SAMPLING_LOSS * sum(event.steps for event in events)
    assert found >= expected * (1 - 1e-6) - 1e-9
    if expected > 0:  # theirs says 0 wherever another bound gives delta
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.0005, 1), st.floats(0.3, 50))
def test_the_divergence_of_a_step_is_that_of_opacus(rate: float, noise: float) -> None:
    theirs = compute_rdp(q=rate, noise_multiplier=noise, steps=1, orders=list(ORDERS))
    ours = [renyi_divergence(rate, noise, order) for order in ORDERS]
    assert ours == pytest.approx(list(theirs), rel=1e-6, abs=1e-12)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=5), EVENTS, st.floats(1.1, 10))
def test_more_events_never_cost_less_and_a_larger_delta_never_more(
    events: list[MechanismEvent], more: MechanismEvent, factor: float
) -> None:
    here = filter_epsilon(events, DELTA)
    assert filter_epsilon([*events, more], DELTA) >= here
    assert filter_epsilon([more, *events], DELTA) == pytest.approx(filter_epsilon([*events, more], DELTA), rel=1e-12)
    assert filter_epsilon(events, DELTA * factor) <= here


@pytest.mark.parametrize(("rate", "noise", "steps"), [(0.12, 2.0, 60), (0.02, 1.1, 900), (1.0, 8.0, 10)])
def test_it_says_more_than_plans_fixed_in_advance_and_less_than_half_as_much_again(
    rate: float, noise: float, steps: int
) -> None:
    events = [MechanismEvent(rate, noise, steps)]
    together = Accountant(SEARCH_GRID).epsilon(events, DELTA)
    assert together < filter_epsilon(events, DELTA) < 1.5 * together


def test_nothing_released_costs_nothing() -> None:
    assert filter_epsilon([], DELTA) == 0.0


@pytest.mark.parametrize("delta", [0.0, 1.0, math.nan])
def test_a_delta_that_is_no_chance_is_refused(delta: float) -> None:
    with pytest.raises(PrivacyError, match="target_delta"):
        filter_epsilon([MechanismEvent(1.0, 1.0, 1)], delta)


def curve(mechanism: Mechanism) -> tuple[float, ...]:
    """Return the divergences of a mechanism with finitely many outcomes, in the larger direction, by definition."""

    def divergence(p: Sequence[float], q: Sequence[float], order: int) -> float:
        return math.log(sum(b * (a / b) ** order for a, b in zip(p, q, strict=True))) / (order - 1)

    p, q = mechanism
    return tuple(max(divergence(p, q, order), divergence(q, p, order)) for order in ORDERS)


def most_told(
    known: Sequence[tuple[Mechanism, tuple[float, ...]]],
    limit: float,
    delta: float,
    loss: float = 0.0,
    spent: tuple[float, ...] = (0.0,) * len(ORDERS),
    left: int = 3,
) -> float:
    """Return the true delta at epsilon ``limit`` of the worst adversary, who picks each next mechanism adaptively."""
    worst = max(0.0, 1 - math.exp(limit - loss))
    for (p, q), cost in known if left else ():
        after = tuple(a + b for a, b in zip(spent, cost, strict=True))
        if passing_epsilon(after, delta) <= limit:
            seen = [
                (a, most_told(known, limit, delta, loss + math.log(a / b), after, left - 1))
                for a, b in zip(p, q, strict=True)
            ]
            worst = max(worst, sum(chance * told for chance, told in seen))
    return worst


def chances(count: int) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(-6, 0), min_size=count, max_size=count).map(
        lambda logs: [math.exp(log) / sum(map(math.exp, logs)) for log in logs]
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(chances(3), chances(3)), min_size=1, max_size=3), st.floats(0.2, 6), st.floats(-3, -0.7))
def test_no_adaptive_choice_of_mechanisms_tells_more_than_the_limit(
    mechanisms: list[Mechanism], limit: float, exponent: float
) -> None:
    """Every tree of choices three steps deep, exactly: what passes the filter is (limit, delta) private together."""
    delta = 10**exponent
    known = [(mechanism, curve(mechanism)) for mechanism in mechanisms]
    assert most_told(known, limit, delta) <= delta * (1 + 1e-9)
    turned = [((q, p), cost) for (p, q), cost in known]
    assert most_told(turned, limit, delta) <= delta * (1 + 1e-9)


def two_steps(limit: float, delta: float, share: float, mean: float = 0.18) -> float:
    """Return the true delta at ``limit`` of an adversary who sees a Gaussian sum, then picks the worst second release.

    The second release shows a unit outright with the chance that some order still leaves room for. The filter under attack
    takes whichever order passes, at ``share`` of delta for each.
    """
    seen = np.linspace(mean**2 / 2 - 8 * mean, mean**2 / 2 + 8 * mean, 801)  # the loss of the first release
    chance = np.exp(-((seen - mean**2 / 2) ** 2) / (2 * mean**2))
    stop = np.maximum(0, -np.expm1(limit - seen))
    assert min(order * mean**2 / 2 + conversion(order, delta * share) for order in ORDERS) <= limit
    best = stop
    for order in ORDERS:
        room = (order - 1) * (limit - conversion(order, delta * share) - order * mean**2 / 2)
        for outright in np.linspace(0.1, 14, 140) if room > 0 else ():
            found = min(1.0, math.expm1(room) / math.exp((order - 1) * outright))
            best = np.maximum(best, found * np.maximum(0, -np.expm1(limit - seen - outright)) + (1 - found) * stop)
    return float((chance * best).sum() / chance.sum())


@pytest.mark.parametrize(("limit", "delta"), [(4.0, 1e-5), (8.0, 1e-5), (8.0, 1e-3)])
def test_taking_whichever_order_passes_breaks_the_limit_unless_delta_is_divided(limit: float, delta: float) -> None:
    """Why ``RdpAccountant.get_epsilon`` is no filter, though it is a bound for plans that are fixed in advance."""
    assert two_steps(limit, delta, share=1.0) > 1.6 * delta
    assert two_steps(limit, delta, share=1 / len(ORDERS)) <= delta
