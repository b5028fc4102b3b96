import math

import numpy as np
import pytest
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.pld.privacy_loss_mechanism import AdjacencyType, GaussianPrivacyLoss
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from privacy.step_loss import loss_of_step

RATES = st.one_of(st.just(1.0), st.floats(1e-6, 1.0))
NOISES = st.floats(math.log(0.05), math.log(500)).map(math.exp)


def divergences(rate: float, noise: float, losses: list[float]) -> np.ndarray:
    """Return dp-accounting's exact divergence at each loss, of the worse direction."""
    each = [
        GaussianPrivacyLoss(noise, sampling_prob=rate, adjacency_type=adjacency).get_delta_for_epsilon(losses)
        for adjacency in (AdjacencyType.REMOVE, AdjacencyType.ADD)
    ]
    return np.max(each, axis=0)


@settings(max_examples=40, deadline=None)
@given(RATES, NOISES)
def test_a_loss_is_that_of_dp_accounting_on_its_grid_and_never_less_between(rate: float, noise: float) -> None:
    grid = 0.02 / noise
    found = loss_of_step(rate, noise, grid)
    on_grid = [grid * step for step in range(0, 400, 40)]
    between = [loss + grid / 3 for loss in on_grid]
    assert found.get_delta_for_epsilon(on_grid) == pytest.approx(divergences(rate, noise, on_grid), rel=1e-9, abs=1e-13)
    assert (found.get_delta_for_epsilon(between) >= divergences(rate, noise, between) - 1e-13).all()


@pytest.mark.parametrize(
    ("rate", "noise", "steps"), [(0.5, 0.02, 1), (0.99, 0.03, 2), (1e-5, 0.3, 50), (0.3, 1.2, 12), (1.0, 0.05, 1)]
)
def test_composed_losses_have_the_epsilon_of_dp_accounting_even_where_their_exponentials_overflow(
    rate: float, noise: float, steps: int
) -> None:
    ours = loss_of_step(rate, noise, 0.05).self_compose(steps)
    theirs = pld.from_gaussian_mechanism(noise, sampling_prob=rate, value_discretization_interval=0.05).self_compose(steps)
    for delta in (1e-3, 1e-6):
        assert ours.get_epsilon_for_delta(delta) == pytest.approx(theirs.get_epsilon_for_delta(delta), rel=1e-7)


@pytest.mark.parametrize(("rate", "noise", "loss"), [(0.3, 1.2, 1.0), (0.01, 0.8, 2.0), (0.9, 3.0, 0.5), (1.0, 2.0, 1.0)])
def test_a_divergence_is_that_of_fifty_digits(rate: float, noise: float, loss: float) -> None:
    mp.dps = 50
    q, z, whole = mpf(rate), mpf(noise), mp.log(1 + (mp.exp(mpf(loss)) - 1) / mpf(rate))
    x = mpf(-0.5) - whole * z**2  # up to here the loss of removing a unit is larger
    removed = q * mp.ncdf((x + 1) / z) + (1 - q) * mp.ncdf(x / z) - mp.exp(mpf(loss)) * mp.ncdf(x / z)
    found = loss_of_step(rate, noise, 0.01)
    assert found.get_delta_for_epsilon(loss) == pytest.approx(float(removed), rel=1e-9)
