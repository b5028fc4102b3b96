import math
from collections.abc import Sequence

import numpy as np
import pytest
from dp_accounting.pld.pld_pmf import PLDPmf, create_pmf_pessimistic_connect_dots_fixed_gap
from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import step_loss
from privacy.dense_loss import deltas_at, discretised, epsilon_at, self_composed
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
