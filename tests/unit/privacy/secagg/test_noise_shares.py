import dataclasses
import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, norm

from privacy.secagg import noise_shares as module
from privacy.secagg.noise_shares import KERNEL, MOST_LOSS, NoiseShares
from shared.errors import PrivacyError

SHARES = NoiseShares(bound=0.5, noise_multiplier=1.2, dimension=1000, expected_batch=300, sites=10, colluders=1)


def test_the_honest_shares_leave_exactly_the_noise_that_is_accounted_for() -> None:
    continuous = math.sqrt(SHARES.honest * SHARES.share_std**2 - KERNEL**2)
    assert continuous / SHARES.sensitivity == pytest.approx(SHARES.noise_multiplier, rel=1e-12)
    assert SHARES.with_colluders(1) == pytest.approx(1.2, rel=1e-9)
    assert SHARES.with_colluders(0) > 1.2 > SHARES.with_colluders(2) > SHARES.with_colluders(9) > 0
    assert SHARES.with_colluders(10) == 0


@given(
    st.floats(0.05, 50), st.integers(1, 10**6), st.floats(1, 1e5), st.integers(2, 64), st.integers(0, 62), st.floats(0, 0.01)
)
def test_every_accepted_split_fits_32_bits_and_costs_no_more_than_the_accountant_charges(
    noise: float, dimension: int, batch: float, sites: int, colluders: int, slack: float
) -> None:
    if sites - colluders < 2:
        with pytest.raises(PrivacyError, match="at least 2 others must add noise"):
            NoiseShares(1.0, noise, dimension, batch, sites, colluders, slack)
        return
    shares = NoiseShares(1.0, noise, dimension, batch, sites, colluders, slack)
    assert shares.excess_loss <= MOST_LOSS
    assert shares.sensitivity * shares.grid >= 1 + slack + shares.grid * math.sqrt(dimension)
    largest = (batch + 8 * math.sqrt(batch)) / shares.grid + 8 * noise * 2**shares.grid_bits * math.sqrt(
        sites / shares.honest
    )
    assert largest <= 2**31


@pytest.mark.slow
@pytest.mark.parametrize(("std", "count"), [(1.0, 2), (1.5, 2), (2.0, 2), (1.0, 4)])
def test_a_sum_of_discrete_gaussians_on_half_integers_is_one_within_the_bound_of_the_proof(std: float, count: int) -> None:
    """In 60 digits, on the coset that the sampler draws from: step (1) of the proof."""
    with mpmath.workdps(60):
        reach = int(20 * std)
        one = {k: mpmath.exp(-((k + mpmath.mpf(1) / 2) ** 2) / (2 * mpmath.mpf(std) ** 2)) for k in range(-reach, reach)}
        total = one
        for _ in range(count - 1):
            total = {n: sum(p * one[n - k] for k, p in total.items() if n - k in one) for n in range(-reach, reach)}
        whole = {n: mpmath.exp(-((n + mpmath.mpf(count) / 2) ** 2) / (2 * count * mpmath.mpf(std) ** 2)) for n in total}
        of_sum, of_one = sum(total.values()), sum(whole.values())
        near = [n for n in total if abs(n) < 4 * std]
        ratio = max(abs(mpmath.log(total[n] / of_sum / (whole[n] / of_one))) for n in near)
        tau = 10 * sum(mpmath.exp(-2 * mpmath.pi**2 * std**2 * k / (k + mpmath.mpf(1))) for k in range(1, count))
        assert 0 < ratio <= tau


@pytest.mark.parametrize(("std", "kernel"), [(2.0, 0.6), (2.0, 0.8), (3.0, 1.0)])
@pytest.mark.parametrize("centre", [0.0, 0.5])
def test_a_discrete_gaussian_is_a_rounding_of_the_continuous_one_within_the_bound(
    std: float, kernel: float, centre: float
) -> None:
    """By the trapezoidal rule, whose error here is far below that of float64: step (2) of the proof."""
    points = np.arange(-25, 26) + centre
    places = np.arange(-40, 40, 1 / 64)
    weights = np.exp(-((points[:, None] - places) ** 2) / (2 * kernel**2))  # (points, places)
    chances = weights / weights.sum(axis=0)
    rounded = (norm.pdf(places, scale=math.sqrt(std**2 - kernel**2)) * chances).sum(axis=1) / 64
    discrete = np.exp(-(points**2) / (2 * std**2))
    off = np.abs(np.log(rounded / (discrete / discrete.sum())))[17:34]  # within 8; further out, next to nothing is left
    assert off.max() <= 5 * math.exp(-2 * math.pi**2 * kernel**2)


def test_the_noise_of_the_total_is_gaussian_with_the_planned_deviation() -> None:
    shares = dataclasses.replace(SHARES, dimension=200_000, sites=3)
    zeros = shares.on_grid(torch.zeros(200_000))
    total = np.zeros(200_000, np.uint32)
    for _ in range(3):
        total += shares.noised(zeros)
    noise = (total.view(np.int32) + 1.5) / shares.total_std
    edges = norm.ppf(np.linspace(0, 1, 65))
    assert chisquare(np.histogram(noise, edges)[0]).pvalue > 1e-6
    assert shares.mean_gradient(total, 300).std() == pytest.approx(shares.total_std * shares.grid / 300, rel=0.01)


def test_without_noise_the_mean_gradient_is_the_sum_on_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "with_lattice_noise", lambda steps, std: steps)
    sums = [torch.randn(1000, dtype=torch.float64) for _ in range(10)]
    total = np.zeros(1000, np.uint32)
    for each in sums:
        total += SHARES.noised(SHARES.on_grid(each))
    exact = sum(SHARES.on_grid(each) for each in sums).numpy() + 5  # ten halves
    assert np.array_equal(SHARES.mean_gradient(total, 7.0), (exact * (SHARES.grid / 7.0)).astype(np.float32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bound": 0.0}, "each must be finite"),
        ({"noise_multiplier": math.inf}, "each must be finite"),
        ({"colluders": 9}, "at least 2 others must add noise"),
        ({"colluders": -1}, "at least 2 others must add noise"),
        ({"expected_batch": 2.0**31}, "does not fit 32 bits"),
        ({"noise_multiplier": 1e-9}, "too coarse for the accounting"),
    ],
)
def test_numbers_without_a_guarantee_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(PrivacyError, match=message):
        dataclasses.replace(SHARES, **changes)


@pytest.mark.parametrize("sums", [torch.full((1000,), math.nan), torch.zeros(999)])
def test_a_sum_that_is_not_finite_or_of_another_size_is_refused(sums: torch.Tensor) -> None:
    with pytest.raises(PrivacyError, match="must be 1000 finite ones"):
        SHARES.on_grid(sums)
