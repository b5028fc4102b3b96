import dataclasses
import inspect
import math
from typing import Any

import pytest
import torch
from fixture_types import ConfigOf

from privacy.dp.mechanism import Mechanism
from privacy.dp.plan import COUNT_BOUND, ClippingMode, PrivacyPlan
from privacy.mechanism_event import MechanismEvent
from shared.errors import PrivacyError

FAST = {"training.rounds": 2, "training.steps": 3, "privacy.epsilon": 0.5, "training.sampling_rate": 1.0}


def plan(**changes: Any) -> PrivacyPlan:
    fields = {
        "sampling_rate": 0.1,
        "noise_multiplier": 1.0,
        "clipping_norm": 0.5,
        "steps_per_round": 3,
        "rounds": 2,
        "target_delta": 1e-4,
        "declared_size": 1000,
    }
    return PrivacyPlan(**{**fields, **changes})


def test_a_site_gets_the_noise_that_meets_its_epsilon(config_of: ConfigOf) -> None:
    made = PrivacyPlan.for_site(config_of(FAST), 1000)
    assert made is not None
    assert 0.99 * 0.5 <= made.epsilon() <= 0.5
    assert (made.steps_per_round, made.rounds, made.sampling_rate, made.clipping_norm) == (3, 2, 1.0, 0.5)
    assert made.expected_batch == pytest.approx(1000)
    assert (made.unit, made.relation, made.trust) == ("record", "add-or-remove-one", "local")
    assert made.epsilon_by_round()[-1] == pytest.approx(made.epsilon(), rel=1e-9)
    assert made.epsilon(1) == pytest.approx(made.epsilon_by_round()[0], rel=1e-9)
    assert made.epsilon(1) < made.epsilon(2)


def test_without_privacy_there_is_no_plan(config_of: ConfigOf) -> None:
    assert PrivacyPlan.for_site(config_of({"privacy.enabled": False}), 1000) is None


def test_nothing_in_a_plan_comes_from_the_private_records() -> None:
    assert list(inspect.signature(PrivacyPlan.for_site).parameters) == ["config", "declared_size", "accountant"]


def test_delta_is_the_configs_or_falls_faster_than_the_declared_size(config_of: ConfigOf) -> None:
    given = PrivacyPlan.for_site(config_of({**FAST, "privacy.target_delta": 1e-6}), 1000)
    taken = PrivacyPlan.for_site(config_of(FAST), 1000)
    assert given is not None
    assert taken is not None
    assert given.target_delta == 1e-6
    assert taken.target_delta == pytest.approx(1000**-1.1)
    assert given.noise_multiplier > taken.noise_multiplier


@pytest.mark.parametrize("delta", [1e-3, 2e-3, 0.5, 1.0, 0.0, -1e-9, math.nan])
def test_a_delta_that_lets_a_whole_record_out_is_refused(delta: float) -> None:
    with pytest.raises(PrivacyError, match="target_delta"):
        plan(target_delta=delta)


def test_a_step_that_expects_less_than_one_record_is_refused_with_the_rate_to_take() -> None:
    plan(sampling_rate=0.001)
    with pytest.raises(PrivacyError, match=r"training\.sampling_rate.*at least 0\.0010"):
        plan(sampling_rate=0.0009)


@pytest.mark.parametrize("norm", [0.0, -0.5, math.nan, math.inf])
def test_a_clipping_norm_that_bounds_nothing_is_refused(norm: float) -> None:
    with pytest.raises(PrivacyError, match="clipping norm"):
        plan(clipping_norm=norm)


@pytest.mark.parametrize(
    "changes", [{"noise_multiplier": 0.0}, {"steps_per_round": 0}, {"sampling_rate": 1.5}, {"rounds": 0}]
)
def test_a_plan_that_cannot_be_accounted_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(PrivacyError):
        plan(**changes)


def test_a_tiny_site_is_refused_in_one_line(config_of: ConfigOf) -> None:
    with pytest.raises(PrivacyError) as caught:
        PrivacyPlan.for_site(config_of(FAST), 1)
    assert "\n" not in str(caught.value)


def test_what_is_accounted_is_what_runs() -> None:
    made = plan()
    [event] = made.events
    assert (event.sampling_rate, event.noise_multiplier, event.steps) == (0.1, 1.0, 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.noise_multiplier = 0.1  # type: ignore[misc]


@pytest.mark.parametrize("noise", [9e-3, 4001.0])
def test_a_plan_whose_noise_cannot_be_drawn_is_refused_before_anything_is_reserved(noise: float) -> None:
    with pytest.raises(PrivacyError, match=r"must be from 0.01 to 4000;"):
        PrivacyPlan(0.1, noise, 0.5, 4, 2, 1e-5, 3200)
    with pytest.raises(PrivacyError, match=r"of the metrics: must be from"):
        PrivacyPlan(0.1, 1.0, 0.5, 4, 2, 1e-5, 3200, (MechanismEvent(1.0, noise, 1, "metrics"),))


@pytest.mark.parametrize("bound", [1e-6, 0.9999999, 1e6])
@pytest.mark.parametrize(("noise", "clipping"), [(1e-2, "flat"), (4000.0, "flat"), (1500.0, "adaptive")])
def test_every_plan_that_is_accepted_can_draw_its_noise(bound: float, noise: float, clipping: ClippingMode) -> None:
    plan = PrivacyPlan(0.5, noise, bound, 1, 1, 1e-7, 400_000, clipping=clipping)
    assert float(plan.mechanism(1).release(torch.zeros(1, dtype=torch.int64))) != 0
    count = Mechanism(COUNT_BOUND, plan.count_noise / COUNT_BOUND, 1)
    assert clipping == "flat" or float(count.release(torch.zeros(1, dtype=torch.int64))) != 0


def test_a_run_that_cannot_be_planned_is_refused_before_its_noise_is_searched_for(
    config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server could otherwise make a site compute for minutes with a sampling rate that expects no record."""
    monkeypatch.setattr("privacy.accounting.calibrate", pytest.fail)
    with pytest.raises(PrivacyError, match=r"training\.sampling_rate"):
        PrivacyPlan.for_site(config_of({"training.sampling_rate": 1e-4}), 1000)


@pytest.mark.parametrize("declared", [300, 700, 1000, 12_345])
def test_the_rate_that_a_refusal_names_is_one_that_passes(declared: int) -> None:
    with pytest.raises(PrivacyError) as refused:
        plan(sampling_rate=1e-6, declared_size=declared, target_delta=1e-6)
    assert plan(sampling_rate=float(str(refused.value).split()[-1]), declared_size=declared, target_delta=1e-6)
