"""A lower bound must be below the truth nearly always, and must find what is not private at all."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

from bench.meter import CLAIMS, STEPS, plan_of
from bench.one_run import audited
from privacy.audit.canaries import Canaries, planted
from privacy.audit.one_run import gaussian_mu, lower_bound, p_value, refuted_gaussian
from shared.errors import PrivacyError

DELTA = 1e-5


@pytest.fixture(scope="module")
def oracle() -> ModuleType:
    """Load the auditing module of jax_privacy as a file, because the package itself imports JAX."""
    spec = importlib.util.find_spec("jax_privacy")
    if spec is None or spec.origin is None:
        pytest.skip("jax_privacy is not installed (pip install --no-deps jax_privacy)")
    own = importlib.util.spec_from_file_location("auditing_oracle", Path(spec.origin).with_name("auditing.py"))
    assert own is not None
    assert own.loader is not None
    module = importlib.util.module_from_spec(own)
    sys.modules[own.name] = module
    own.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("canaries", "guesses", "right", "delta"),
    [(1000, 100, 90, 1.9e-4), (1000, 100, 99, 1e-5), (400, 150, 110, 1e-6), (200, 100, 100, 1e-3)],
)
def test_both_bounds_are_those_of_another_implementation(
    oracle: ModuleType, canaries: int, guesses: int, right: int, delta: float
) -> None:
    gaussian = oracle._epsilon_one_run_fdp(0, canaries, guesses, right, 0.05, delta)
    general = oracle._epsilon_one_run(0, canaries, guesses, right, 0.05, delta)
    assert refuted_gaussian(canaries, guesses, right, gaussian - 0.01, delta, 0.05)
    assert not refuted_gaussian(canaries, guesses, right, gaussian + 0.01, delta, 0.05)
    below, above = (p_value(canaries, guesses, right, general + step, delta) for step in (-0.01, 0.01))
    assert below < 0.05 < above


def test_mu_is_the_gaussian_mechanism_of_epsilon_and_delta() -> None:
    for epsilon, delta in ((0.5, 1e-5), (3.0, 1e-4), (8.0, 1e-6)):
        mu = gaussian_mu(epsilon, delta)
        found = norm.cdf(mu / 2 - epsilon / mu) - np.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
        assert found == pytest.approx(delta, rel=1e-6)


def test_scores_that_know_nothing_give_a_bound_of_almost_0() -> None:
    draws = np.random.default_rng(4)
    found = [lower_bound(draws.random(300) < 0.5, draws.random(300), DELTA).gaussian for _ in range(20)]
    assert sum(bound > 0.1 for bound in found) <= 2


def test_the_bound_of_a_gaussian_mechanism_is_below_its_epsilon() -> None:
    """One release of N(0 or 1, 1 / mu^2) for each canary; no canary disturbs another."""
    draws, mu = np.random.default_rng(5), gaussian_mu(2.0, DELTA)
    for _ in range(10):
        included = draws.random(500) < 0.5
        scores = mu * included + draws.standard_normal(500)
        bound = lower_bound(included, scores, DELTA)
        assert 0 <= bound.general <= bound.gaussian < 2.0


def test_canaries_refute_an_engine_without_noise_and_not_an_honest_one() -> None:
    assert audited(3, "honest", 400).gaussian < 3
    assert audited(3, "no noise", 400).gaussian > 3


def test_a_canary_is_in_steps_only_if_it_takes_part_and_is_clipped() -> None:
    layer, plan = nn.Linear(40, 1, bias=False), plan_of(1e-2)
    model = nn.ModuleList([layer])
    canaries, seen = Canaries.drawn(40, 40), np.zeros(40)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with planted(canaries, model, optimizer, plan, plan.expected_batch) as (_, step):
        for _ in range(STEPS):
            layer.weight.data.zero_()
            step.finish()
            seen = np.maximum(seen, -layer.weight.detach().double().numpy()[0] * plan.expected_batch)
    present = canaries.included[np.argsort(canaries.places)]
    assert np.abs(seen[present] - 1).max() < 0.2
    assert np.abs(seen[~present]).max() < 0.2
    assert (canaries.scores > 0).tolist() == canaries.included.tolist()


def test_who_takes_part_is_decided_by_fair_coins_that_no_seed_repeats() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    first = Canaries.drawn(4000, 5000)
    torch.manual_seed(0)
    np.random.seed(0)
    again = Canaries.drawn(4000, 5000)
    assert abs(int(first.included.sum()) - 2000) < 200
    assert (first.included != again.included).any()
    assert len(set(first.places.tolist())) == 4000


def test_more_canaries_than_trained_numbers_are_refused() -> None:
    with pytest.raises(PrivacyError, match="plant fewer"):
        Canaries.drawn(50, 40)


def test_claims_of_the_bench_are_the_epsilons_of_its_plans() -> None:
    assert plan_of(CLAIMS[3]).epsilon() == pytest.approx(3, abs=0.05)
