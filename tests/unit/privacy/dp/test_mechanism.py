import ast
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.stats import chisquare
from silence import silence
from syntax import REPOSITORY, nodes

from privacy.dp import mechanism as module
from privacy.dp.mechanism import LARGEST_SUM, MOST_NUMBERS, Mechanism, grid_of
from shared.errors import PrivacyError

bounds = st.floats(1e-6, 1e6)
numbers = npst.arrays(np.float64, st.integers(1, 20), elements=st.floats(-100, 100))


@given(bound=bounds)
def test_the_grid_is_a_power_of_two_and_at_most_2_to_the_minus_40_of_the_bound(bound: float) -> None:
    fraction, _ = math.frexp(grid_of(bound))
    assert fraction == 0.5
    assert bound * 2.0**-41 < grid_of(bound) <= bound * 2.0**-40


@given(bound=bounds, values=numbers)
def test_every_release_is_a_whole_number_of_steps_of_the_grid(bound: float, values: np.ndarray) -> None:  # type: ignore[type-arg]
    mechanism = Mechanism(bound, 1.5, len(values))
    sums = mechanism.on_grid(torch.from_numpy(values) * bound)
    steps = mechanism.release(sums).numpy() / mechanism.grid
    assert (steps == np.round(steps)).all()


@given(bound=bounds, values=numbers)
def test_with_the_sum_on_the_grid_the_release_is_the_real_mechanisms_rounded_down(
    bound: float,
    values: np.ndarray,  # type: ignore[type-arg]
) -> None:
    """g floor((S + N) / g) for a real N: what makes the release a function of S + N alone."""
    mechanism = Mechanism(bound, 1.5, len(values))
    steps = mechanism.on_grid(torch.from_numpy(values) * bound)
    noise = np.random.default_rng(3).normal(size=len(values)) * mechanism.std / mechanism.grid
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "rounded_gaussian", lambda *_: torch.from_numpy(np.floor(noise)).long())
        released = mechanism.release(steps) / mechanism.grid
    off = np.abs(released.numpy() - np.floor(steps.numpy() + noise))
    assert (off <= 1 + np.spacing(np.abs(noise))).all()  # the last bit of a float64 that is not in whole numbers


@given(bound=bounds, values=numbers, more=numbers)
def test_rounding_moves_neighbours_apart_by_no_more_than_the_sensitivity_holds(
    bound: float,
    values: np.ndarray,  # type: ignore[type-arg]
    more: np.ndarray,  # type: ignore[type-arg]
) -> None:
    size = min(len(values), len(more))
    share = more[:size] / max(np.linalg.norm(more[:size]), 1e-9) * bound
    mechanism = Mechanism(bound, 1.0, size)
    with_it = mechanism.on_grid(torch.from_numpy(values[:size] * bound + share))
    without = mechanism.on_grid(torch.from_numpy(values[:size] * bound))
    moved = float((with_it - without).double().norm()) * mechanism.grid
    assert moved <= mechanism.sensitivity * (1 + 1e-12)


def test_the_noise_has_the_planned_multiple_of_all_that_one_unit_can_move() -> None:
    mechanism = Mechanism(0.5, 3.0, 200_000, slack=0.25)
    assert mechanism.sensitivity == 0.5 * 1.25 + grid_of(0.5) * math.sqrt(200_000)
    assert mechanism.std == 3.0 * mechanism.sensitivity
    drawn = mechanism.noised(torch.full((200_000,), 7.0, dtype=torch.float64)).numpy()
    assert drawn.mean() == pytest.approx(7.0, abs=5 * mechanism.std / 200_000**0.5)
    assert drawn.std() == pytest.approx(mechanism.std, rel=0.01)


def test_the_low_bits_of_a_release_are_even_whatever_the_sum() -> None:
    mechanism, sums = Mechanism(1.0, 0.5, 100_000), torch.full((100_000,), 1 << 45, dtype=torch.int64)
    steps = (mechanism.release(sums) / mechanism.grid).long().numpy()
    assert chisquare(np.bincount(steps & 255, minlength=256)).pvalue > 1e-6


@pytest.mark.parametrize("shape", [(0,), (1,), (70_000,), (3, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_shape_and_type_is_noised_whole(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    noised = Mechanism(1.0, 1.0, 70_000).noised(torch.zeros(shape, dtype=dtype))
    assert (noised.shape, noised.dtype) == (shape, dtype)
    assert (noised != 0).all()


def test_without_noise_a_sum_comes_back_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = silence(monkeypatch)
    mechanism, sums = Mechanism(0.5, 2.0, 3), torch.tensor([0.25, -3.0, 1000.0])
    assert torch.equal(mechanism.noised(sums), sums)
    assert drawn == [(3, mechanism.std / mechanism.grid)]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 2 * LARGEST_SUM * grid_of(1.0)])
def test_a_sum_that_whole_numbers_cannot_hold_is_refused(bad: float) -> None:
    with pytest.raises(PrivacyError, match="not finite or beyond 2\\^61 steps"):
        Mechanism(1.0, 1.0, 2).noised(torch.tensor([0.0, bad], dtype=torch.float64))


def test_more_numbers_than_the_noise_is_for_are_refused() -> None:
    with pytest.raises(PrivacyError, match="4 numbers in a release of 3"):
        Mechanism(1.0, 1.0, 3).release(torch.zeros(4, dtype=torch.int64))
    most = module.CHUNK + 1  # each chunk alone would pass
    with pytest.raises(PrivacyError, match=f"{most + 1} numbers in a release of {most}"):
        Mechanism(1.0, 1.0, most).noised(torch.zeros(most + 1))


@pytest.mark.parametrize("steps", [2**61 + 1024, -(2**62)])
def test_a_sum_on_the_grid_that_noise_could_overflow_is_refused(steps: int) -> None:
    with pytest.raises(PrivacyError, match="beyond 2\\^61 steps"):
        Mechanism(1.0, 1.0, 1).release(torch.tensor([steps]))


@pytest.mark.parametrize(
    "changes",
    [
        {"bound": 0.0},
        {"bound": math.inf},
        {"bound": math.nan},
        {"noise_multiplier": 0.0},
        {"noise_multiplier": math.nan},
        {"dimension": 0},
        {"dimension": MOST_NUMBERS + 1},
        {"slack": -0.1},
        {"slack": math.nan},
    ],
    ids=str,
)
def test_a_mechanism_that_promises_nothing_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(PrivacyError):
        Mechanism(**{"bound": 1.0, "noise_multiplier": 1.0, "dimension": 5, **changes})  # type: ignore[arg-type]


PRODUCT = ("privacy", "client", "server", "shared", "simulations")
SAMPLERS = {  # they draw who takes part, not noise
    "privacy/dp/training.py",
    "client/trainer.py",
    "server/cohort.py",
    *(f"privacy/audit/{name}.py" for name in ("canaries", "rig", "secure_rig")),
}
MAY_IMPORT = {
    "privacy.dp.noise": {"privacy/dp/mechanism.py"},
    "privacy.dp.entropy": {"privacy/dp/noise.py", *SAMPLERS},
    "privacy.dp.entropy.uniforms": SAMPLERS,
    "privacy.dp.entropy.random_words": {"privacy/dp/noise.py"},
    "privacy.dp.keystream": {"privacy/dp/entropy.py"},
}


@cache
def imported(path: Path) -> set[str]:
    """Return the names of all modules that a file imports anywhere in it."""
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("source", MAY_IMPORT)
def test_noise_meets_a_number_in_the_mechanism_alone(source: str) -> None:
    paths = [path for package in PRODUCT for path in sorted((REPOSITORY / package).rglob("*.py"))]
    users = {str(path.relative_to(REPOSITORY)) for path in paths if source in imported(path)}
    assert len(paths) > 100
    assert users == MAY_IMPORT[source]
