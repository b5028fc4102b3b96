import dataclasses
import math
from typing import Any

import pytest
import torch

from privacy.dp.mechanism import Mechanism
from privacy.dp.plan import COUNT_BOUND, ClippingMode, PrivacyPlan
from privacy.mechanism_event import MechanismEvent
from shared.errors import PrivacyError


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


@pytest.mark.parametrize("delta", [1e-3, 1.0, 0.0, -1e-9, math.nan])
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


@pytest.mark.parametrize("declared", [300, 700, 1000, 12_345])
def test_the_rate_that_a_refusal_names_is_one_that_passes(declared: int) -> None:
    with pytest.raises(PrivacyError) as refused:
        plan(sampling_rate=1e-6, declared_size=declared, target_delta=1e-6)
    assert plan(sampling_rate=float(str(refused.value).split()[-1]), declared_size=declared, target_delta=1e-6)
