import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from privacy.accounting import epsilon
from privacy.dp import banded
from privacy.dp.banded import BandedNoise, coefficients
from privacy.dp.engine import make_private
from privacy.dp.plan import PrivacyPlan
from shared.errors import HushtuneError, PrivacyError

CPU = torch.device("cpu")

# jax-privacy 2.0.0, a reference by other hands: toeplitz.optimal_max_error_strategy_coefs(8)
REFERENCE = [1.0, 0.5, 0.375, 0.3125, 0.2734375, 0.24609375, 0.2255859375, 0.20947265625]
# and its sensitivity.get_sensitivity_banded and fixed_epoch_sensitivity of our matrix: (steps, bands, batches) to both
SENSITIVITY = {
    (8, 8, 8): 1.0,
    (12, 4, 4): 1.7320508075688772,
    (12, 3, 6): 1.4142135623730951,
    (20, 10, 10): 1.4142135623730951,
}


def strategy(steps: int, bands: int) -> np.ndarray:  # type: ignore[type-arg]
    """The strategy matrix C, (steps, steps): lower triangular, of ``bands`` diagonals, each column of norm 1."""
    matrix = np.zeros((steps, steps))
    for column in range(steps):
        part = coefficients(bands)[: steps - column]
        matrix[column : column + len(part), column] = part / np.linalg.norm(part)
    return matrix


@st.composite
def rounds(draw: st.DrawFn) -> tuple[int, int, int]:
    """Batches of a pass, passes, and bands that are allowed for them."""
    batches = draw(st.integers(1, 8))
    return batches, draw(st.integers(1, 4)), draw(st.integers(1, batches))


def moved(matrix: np.ndarray, batches: int, place: int, shares: np.ndarray) -> float:  # type: ignore[type-arg]
    """The norm by which a unit moves C G, with its shares (passes, width) in the steps of one place."""
    gradients = np.zeros((len(matrix), shares.shape[1]))
    gradients[place::batches] = shares
    return float(np.linalg.norm(matrix @ gradients))


def test_the_coefficients_are_those_of_the_square_root() -> None:
    assert coefficients(8).tolist() == pytest.approx(REFERENCE, abs=1e-15)
    square = np.convolve(coefficients(30), coefficients(30))[:30]
    assert square == pytest.approx(np.ones(30))  # 1 / (1 - x), whose coefficients are those of a prefix sum


@given(st.integers(1, 40), st.integers(1, 40))
def test_the_strategy_is_lower_triangular_and_banded_with_columns_of_norm_1(steps: int, bands: int) -> None:
    matrix = strategy(steps, bands)
    assert np.linalg.norm(matrix, axis=0) == pytest.approx(np.ones(steps))
    below = np.subtract.outer(np.arange(steps), np.arange(steps))
    assert not matrix[(below < 0) | (below >= bands)].any()


@given(rounds(), st.integers(0, 2**32 - 1))
def test_a_unit_moves_the_sums_by_no_more_than_the_root_of_its_passes(shape: tuple[int, int, int], seed: int) -> None:
    batches, passes, bands = shape
    matrix, draw = strategy(batches * passes, bands), np.random.default_rng(seed)
    shares = draw.normal(size=(passes, 3))
    shares /= np.maximum(np.linalg.norm(shares, axis=1, keepdims=True), 1.0)  # clipped
    for place in range(batches):
        assert moved(matrix, batches, place, shares) <= math.sqrt(passes) * (1 + 1e-12)
        assert moved(matrix, batches, place, np.ones((passes, 1))) == pytest.approx(math.sqrt(passes))  # and can reach it


@pytest.mark.parametrize(("shape", "reference"), SENSITIVITY.items())
def test_the_sensitivity_is_the_references(shape: tuple[int, int, int], reference: float) -> None:
    steps, bands, batches = shape
    matrix = strategy(steps, bands)
    worst = max(moved(matrix, batches, place, np.ones((steps // batches, 1))) for place in range(batches))
    assert worst == pytest.approx(reference)


def test_more_bands_than_steps_between_would_break_the_bound() -> None:
    assert moved(strategy(12, 8), 4, 0, np.ones((3, 1))) > 1.15 * math.sqrt(3)


@given(rounds(), st.integers(0, 2**32 - 1))
def test_a_rounds_noise_is_the_inverse_strategy_times_independent_noise(shape: tuple[int, int, int], seed: int) -> None:
    batches, passes, bands = shape
    steps = batches * passes
    drawn = torch.from_numpy(np.random.default_rng(seed).normal(size=(steps, 5)))
    rows = iter(drawn)

    def given_rows(shape: Sequence[int], std: float, device: torch.device) -> torch.Tensor:
        return std * next(rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(banded, "gaussian", given_rows)
        noise = BandedNoise(steps, bands)
        made = np.stack([noise((5,), 2.0, CPU).numpy() for _ in range(steps)])
    assert made == pytest.approx(2.0 * np.linalg.inv(strategy(steps, bands)) @ drawn.numpy(), abs=1e-9)


def test_what_a_private_step_adds_has_the_covariance_that_is_accounted_for() -> None:
    plan = PrivacyPlan(1 / 4, 1.5, 0.5, 8, 2, 1e-5, 400, sampling="cyclic")
    width = 40_000
    layer = nn.Linear(width, 1, bias=False)
    optimizer, taken = torch.optim.SGD(layer.parameters(), lr=1.0), []
    layer.weight.data.zero_()
    with make_private(layer, optimizer, plan, plan.expected_batch) as (_, step):
        for _ in range(plan.steps_per_round):
            before = layer.weight.detach().clone()
            step.finish()
            taken.append((before - layer.weight.detach()).flatten().double().numpy())
    noise = np.stack(taken) * plan.expected_batch / (plan.noise_multiplier * plan.clipping_norm)  # (steps, width)
    whitened = strategy(8, 4) @ noise  # Z: the release C G + Z has this noise on it
    covariance = whitened @ whitened.T / width
    assert abs(covariance - np.eye(8)).max() < 6 * math.sqrt(2 / width)
    assert (noise.sum(axis=0) ** 2).mean() < 0.6 * 8  # independent noise would have 8


def test_the_plan_charges_a_gaussian_sum_over_all_units_for_each_pass() -> None:
    plan = PrivacyPlan(0.1, 1.2, 0.5, 30, 2, 1e-5, 400, sampling="cyclic")
    [event] = plan.events
    assert (event.sampling_rate, event.noise_multiplier, event.steps) == (1.0, 1.2, 3)
    independent = PrivacyPlan(0.1, 1.2, 0.5, 30, 2, 1e-5, 400)
    assert plan.epsilon() > independent.epsilon()  # nobody's absence amplifies it
    assert plan.epsilon() == pytest.approx(epsilon([event] * 2, 1e-5))
    assert plan.bands == 10
    assert independent.bands == 1


def test_a_step_beyond_the_plan_gets_no_noise_and_stops() -> None:
    noise = BandedNoise(2, 2)
    for _ in range(2):
        noise((3,), 1.0, CPU)
    with pytest.raises(PrivacyError, match="more steps than its plan"):
        noise((3,), 1.0, CPU)


def test_rounds_share_no_noise() -> None:
    first, second = (
        np.concatenate([noise((20_000,), 1.0, CPU).numpy() for _ in range(3)])
        for noise in (BandedNoise(3, 3), BandedNoise(3, 3))
    )
    assert abs(np.corrcoef(first, second)[0, 1]) < 6 / len(first) ** 0.5


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps_per_round": 12}, "whole number of passes of 10 steps"),
        ({"sampling_rate": 0.3}, "a pass has 1 / rate batches"),
        ({"clipping": "adaptive"}, "take 'flat', 'automatic' or 'per-layer'"),
        ({"trust": "central", "unit": "site"}, "the server samples sites"),
    ],
)
def test_a_plan_that_the_bands_do_not_cover_is_refused(changes: dict[str, object], says: str) -> None:
    given: dict[str, Any] = {
        **{"sampling_rate": 0.1, "noise_multiplier": 1.0, "clipping_norm": 0.5, "steps_per_round": 10, "rounds": 2},
        **{"target_delta": 1e-5, "declared_size": 400, "sampling": "cyclic"},
        **changes,
    }
    with pytest.raises(HushtuneError, match=says):
        PrivacyPlan(**given)
