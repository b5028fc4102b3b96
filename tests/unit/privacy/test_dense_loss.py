import math
from collections.abc import Sequence

import numpy as np
import pytest
from dp_accounting.pld.pld_pmf import PLDPmf, create_pmf_pessimistic_connect_dots_fixed_gap
from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft

from privacy import step_loss
from privacy.dense_loss import _bounds, deltas_at, discretised, epsilon_at, self_composed
from privacy.privacy_loss import ROUNDING_LOSS
from privacy.step_loss import loss_of_step

RATES = st.one_of(st.just(1.0), st.floats(1e-4, 1.0))
NOISES = st.floats(math.log(0.15), math.log(60)).map(math.exp)
DELTAS = st.floats(math.log(1e-12), math.log(0.3)).map(math.exp)


def parts(loss: PrivacyLossDistribution) -> Sequence[PLDPmf]:
    """Return the two directions of a loss."""
    return loss._pmf_remove, loss._pmf_add


def content(pmf: PLDPmf) -> tuple[object, ...]:
    """Return all numbers of a loss, each in full."""
    dense = pmf.to_dense_pmf()
    return pmf.size, dense._lower_loss, dense._probs.tobytes(), dense._infinity_mass, dense._pessimistic_estimate


@settings(max_examples=25)
@given(RATES, NOISES, st.sampled_from([1, 2, 3, 40, 700]), DELTAS)
def test_a_composition_and_its_epsilon_are_those_of_dp_accounting_in_every_bit(
    rate: float, noise: float, count: int, delta: float
) -> None:
    loss = loss_of_step(rate, noise, 0.01 if noise < 3 else 0.001)
    ours, theirs = self_composed(loss, count), loss.self_compose(count)
    assert [*map(content, parts(ours))] == [*map(content, parts(theirs))]
    assert epsilon_at(ours, delta) == theirs.get_epsilon_for_delta(delta)


@given(RATES, NOISES)
def test_a_loss_has_the_probabilities_of_dp_accounting_in_every_bit(rate: float, noise: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        ours = loss_of_step(rate, noise, 0.001)
        patch.setattr(step_loss, "discretised", create_pmf_pessimistic_connect_dots_fixed_gap)
        theirs = loss_of_step(rate, noise, 0.001)
    assert [*map(content, parts(ours))] == [*map(content, parts(theirs))]


@settings(max_examples=10)
@given(RATES, NOISES, st.sampled_from([1, 30]))
def test_divergences_are_those_of_dp_accounting(rate: float, noise: float, count: int) -> None:
    total, epsilons = self_composed(loss_of_step(rate, noise, 0.02), count), [-1.0, *(n / 10 for n in range(100)), 600.0]
    assert deltas_at(total, epsilons) == pytest.approx(total.get_delta_for_epsilon(epsilons), rel=1e-9, abs=1e-14)


def test_an_epsilon_whose_exponentials_are_zero_is_that_of_dp_accounting() -> None:
    total = loss_of_step(1.0, 0.02, 0.5).self_compose(40)
    for delta in (1e-12, 1e-5, 0.5, 0.99):
        assert epsilon_at(total, delta) == total.get_epsilon_for_delta(delta) > 700


def test_a_delta_below_the_probability_of_an_infinite_loss_has_no_epsilon() -> None:
    total = self_composed(loss_of_step(0.5, 1.0, 0.001), 2)
    assert epsilon_at(total, 1e-16) == math.inf == total.get_epsilon_for_delta(1e-16)


def test_divergences_that_rise_are_refused() -> None:
    falling = np.linspace(0.5, 0.1, 2000)
    rising = np.where(np.arange(2000) == 1500, falling + 1e-3, falling)
    assert content(discretised(0.001, 0, 1999, falling))
    with pytest.raises(ValueError, match="non-increasing"):
        discretised(0.001, 0, 1999, rising)


def test_a_divergence_that_rounding_raised_counts_as_the_one_before() -> None:
    falling = np.linspace(0.5, 0.1, 2000)
    raised = np.where(np.arange(2000) == 1999, falling[1998] + 1e-14, falling)
    theirs = create_pmf_pessimistic_connect_dots_fixed_gap(0.001, 0, 1999, raised)
    assert content(discretised(0.001, 0, 1999, raised)) == content(theirs)


@pytest.mark.parametrize("count", [9, 10, 3000])
def test_many_steps_of_a_small_loss_are_composed_as_by_dp_accounting(count: int) -> None:
    loss = loss_of_step(1.0, 500.0, 0.01)
    assert 3 <= parts(loss)[0].size < 10
    assert [*map(content, parts(self_composed(loss, count)))] == [*map(content, parts(loss.self_compose(count)))]


@pytest.mark.parametrize("grid", [0.1, 0.3, 1.0])
def test_a_coarse_grid_gives_the_epsilon_of_dp_accounting_though_exponentials_overflow(grid: float) -> None:
    total = loss_of_step(0.5, 0.02, grid).self_compose(3)
    assert epsilon_at(total, 1e-5) == total.get_epsilon_for_delta(1e-5) > 4000


def test_a_divergence_beyond_what_exponentials_can_express_is_an_upper_bound() -> None:
    """The loss of noise 0.02 is 1250 +- 50, so nearly all of it lies above 1000; dp-accounting answers NaN."""
    assert deltas_at(loss_of_step(1.0, 0.02, 0.1), [650.0, 1000.0, 1250.0, 2000.0]) == pytest.approx(
        [1.0, 1.0, 0.5, 0.0], abs=0.01
    )


@settings(max_examples=10)
@given(RATES, NOISES, st.sampled_from([2, 50, 3000, 100_000]))
def test_rounding_lowers_a_divergence_by_less_than_is_charged(rate: float, noise: float, count: int) -> None:
    """Against the same composition in long doubles, which have 11 bits more."""
    for pmf in parts(loss_of_step(rate, noise, 0.01 if noise < 3 else 0.001)):
        dense = pmf.to_dense_pmf()
        low, high = _bounds(dense._probs, count)
        if high - low > 200_000:
            continue
        composed = self_composed(PrivacyLossDistribution(dense), count)
        length = fft.next_fast_len(max(high - low + 1, dense.size))
        exact = np.roll(np.real(fft.ifft(power(fft.fft(dense._probs.astype(np.longdouble), length), count))), -low)
        losses = (np.arange(high - low + 1) + composed._pmf_remove._lower_loss) * dense._discretization
        for epsilon in np.linspace(0, losses[-1], 20):
            above = losses > epsilon
            divergence = np.sum(exact[: len(losses)][above] * -np.expm1(epsilon - losses[above].astype(np.longdouble)))
            found = deltas_at(composed, [epsilon])[0] - composed._pmf_remove._infinity_mass
            assert divergence - found < ROUNDING_LOSS * count


def power(base: np.ndarray, count: int) -> np.ndarray:
    """Return a power by repeated squaring."""
    half = power(base, count // 2) if count > 1 else np.ones_like(base)
    return half * half * (base if count % 2 else 1)
