import inspect

import pytest
from fixture_types import ConfigOf

from privacy.dp.run_plans import plan_for_site
from shared.errors import PrivacyError

FAST = {"training.rounds": 2, "training.steps": 3, "privacy.epsilon": 0.5, "training.sampling_rate": 1.0}


def test_a_site_gets_the_noise_that_meets_its_epsilon(config_of: ConfigOf) -> None:
    made = plan_for_site(config_of(FAST), 1000)
    assert made is not None
    assert 0.99 * 0.5 <= made.epsilon() <= 0.5
    assert (made.steps_per_round, made.rounds, made.sampling_rate, made.clipping_norm) == (3, 2, 1.0, 0.5)
    assert made.expected_batch == pytest.approx(1000)
    assert (made.unit, made.relation, made.trust) == ("record", "add-or-remove-one", "local")
    assert made.epsilon_by_round()[-1] == pytest.approx(made.epsilon(), rel=1e-9)
    assert made.epsilon(1) == pytest.approx(made.epsilon_by_round()[0], rel=1e-9)
    assert made.epsilon(1) < made.epsilon(2)


def test_nothing_in_a_plan_comes_from_the_private_records() -> None:
    assert list(inspect.signature(plan_for_site).parameters) == ["config", "declared_size", "accountant"]


def test_delta_is_the_configs_or_falls_faster_than_the_declared_size(config_of: ConfigOf) -> None:
    given = plan_for_site(config_of({**FAST, "privacy.target_delta": 1e-6}), 1000)
    taken = plan_for_site(config_of(FAST), 1000)
    assert given is not None
    assert taken is not None
    assert given.target_delta == 1e-6
    assert taken.target_delta == pytest.approx(1000**-1.1)
    assert given.noise_multiplier > taken.noise_multiplier


def test_a_tiny_site_is_refused_in_one_line(config_of: ConfigOf) -> None:
    with pytest.raises(PrivacyError) as caught:
        plan_for_site(config_of(FAST), 1)
    assert "\n" not in str(caught.value)


def test_a_run_that_cannot_be_planned_is_refused_before_its_noise_is_searched_for(
    config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server could otherwise make a site compute for minutes with a sampling rate that expects no record."""
    monkeypatch.setattr("privacy.accounting.calibrate", pytest.fail)
    with pytest.raises(PrivacyError, match=r"training\.sampling_rate"):
        plan_for_site(config_of({"training.sampling_rate": 1e-4}), 1000)
