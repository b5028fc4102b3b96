"""Attack risk: never below what the best test reaches, and next to nothing above it."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from privacy.accounting import privacy_profile
from privacy.mechanism_event import MechanismEvent
from privacy.risk import FALSE_POSITIVE_RATES, attack_risk


@pytest.mark.parametrize(("noise", "steps"), [(0.5, 1), (1.0, 1), (3.0, 1), (10.0, 50)])
def test_the_limits_are_the_best_test_of_the_gaussian_mechanism(noise: float, steps: int) -> None:
    """Without sampling the best test is known: TPR = Phi(Phi^-1(FPR) + sqrt(T) / z) (Dong, Roth and Su 2022)."""
    shift = math.sqrt(steps) / noise
    risk = attack_risk([MechanismEvent(1.0, noise, steps)])
    for wrong, found in zip(risk.false_positive_rates, risk.true_positive_rates, strict=True):
        best = norm.cdf(norm.ppf(wrong) + shift)
        assert best - 1e-9 <= found <= best + 1e-4
    assert risk.advantage == pytest.approx(2 * norm.cdf(shift / 2) - 1, abs=1e-5)


def test_the_limits_lie_just_above_another_librarys() -> None:
    # riskcal 1.5.1, get_beta_for_dpsgd(noise_multiplier=0.6, sample_rate=0.1, num_steps=12), printed once: TPR = 1 - beta
    theirs = (0.03479844, 0.11342469, 0.35038055)
    ours = attack_risk([MechanismEvent(0.1, 0.6, 12)]).true_positive_rates
    assert all(0 <= mine - other < 4e-5 for mine, other in zip(ours, theirs, strict=True))


@settings(max_examples=5, deadline=None)
@given(st.floats(0.05, 1.0), st.floats(0.9, 5.0), st.integers(1, 8))
@pytest.mark.slow
def test_limits_lie_between_blind_guessing_and_certainty_and_grow_with_steps(rate: float, noise: float, steps: int) -> None:
    once, more = (attack_risk([MechanismEvent(rate, noise, count)]) for count in (steps, 3 * steps))
    for wrong, found, after in zip(FALSE_POSITIVE_RATES, once.true_positive_rates, more.true_positive_rates, strict=True):
        assert wrong <= found <= after + 1e-9
        assert after <= 1


def test_nothing_released_is_blind_guessing() -> None:
    risk = attack_risk([])
    assert risk.true_positive_rates == pytest.approx(FALSE_POSITIVE_RATES, abs=1e-12)
    assert risk.advantage == 0


def test_events_of_every_purpose_add_up() -> None:
    training, metrics = MechanismEvent(0.1, 1.0, 10), MechanismEvent(1.0, 5.0, 1, "metrics")
    both, one = attack_risk([training, metrics]), attack_risk([training])
    assert all(more > less for more, less in zip(both.true_positive_rates, one.true_positive_rates, strict=True))


def test_the_profile_falls_with_epsilon() -> None:
    deltas = privacy_profile([MechanismEvent(0.2, 1.0, 10)], [0.0, 0.5, 1.0, 4.0])
    assert 1 > deltas[0] > deltas[1] > deltas[2] > deltas[3] > 0
