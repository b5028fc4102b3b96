import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from silence import silence
from torch import nn

from privacy.dp import clipping
from privacy.dp.clipping import CLIPPING, RAMP, AdaptiveClipping
from privacy.dp.engine import make_private
from privacy.dp.gradients import Factored
from privacy.dp.mechanism import grid_of
from privacy.dp.per_record import per_record_gradients
from privacy.dp.plan import ClippingMode, PrivacyPlan
from privacy.dp.rounding import rounding_slack
from shared.models.batch_layout import Layout

PLAN = PrivacyPlan(
    sampling_rate=0.1,
    noise_multiplier=1.3,
    clipping_norm=0.5,
    steps_per_round=4,
    rounds=2,
    target_delta=1e-4,
    declared_size=170,
)
MODES: Sequence[ClippingMode] = ("flat", "automatic", "per-layer", "adaptive")
every_mode = pytest.mark.parametrize("mode", MODES)
WEIGHTS = st.lists(st.sampled_from([0.0, 1e-4, 0.3, 1.0, 50.0, 1e6]), min_size=0, max_size=6)


class Recorder(torch.optim.SGD):
    """Keeps the gradients that it steps along."""

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        self.taken = [p.grad.clone() for group in self.param_groups for p in group["params"]]
        super().step()


def network() -> nn.Module:
    """One layer whose per-record gradients are written out, and one whose gradients stay factored."""
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 12))


def test_the_network_has_gradients_of_both_forms() -> None:
    model = network()
    with per_record_gradients(model):
        model(torch.randn(5, 3)).sum().backward()
        forms = {name: type(p.grad_sample) for name, p in model.named_parameters()}  # type: ignore[attr-defined]
    assert forms == {
        "0.weight": torch.Tensor,
        "0.bias": torch.Tensor,
        "2.weight": Factored,
        "2.bias": torch.Tensor,
    }


@every_mode
def test_rows_of_a_unit_are_added_up_before_the_clip_whatever_form_their_gradients_have(mode: ClippingMode) -> None:
    plan, inputs = replace(PLAN, clipping=mode), torch.linspace(-1, 1, 12).reshape(4, 3)

    def step_along(rows: torch.Tensor, owners: Sequence[int]) -> torch.Tensor:
        model = network()
        optimizer = Recorder(model.parameters(), lr=0.0)
        with pytest.MonkeyPatch.context() as patch:
            silence(patch)
            with make_private(model, optimizer, plan, plan.expected_batch) as (lent, step):
                (lent(rows).square().sum() / len(rows)).backward()
                step.accumulate(owners)
                step.finish()
        return torch.cat([gradient.flatten() for gradient in optimizer.taken])

    # Twice the same row, each at half the weight, is that row.
    one, twice = step_along(inputs[:1], [3]), step_along(inputs[[0, 0]], [3, 3])
    torch.testing.assert_close(one, twice, rtol=1e-4, atol=1e-7)
    assert float(one.norm()) > 0


def released(weights: Sequence[float], plan: PrivacyPlan, micro: int = 2) -> list[torch.Tensor]:
    """Return the clipped sum of a step over records with these loss weights, without noise."""
    model, inputs = network(), torch.linspace(-1, 1, 3 * len(weights)).reshape(-1, 3)
    optimizer = Recorder(model.parameters(), lr=0.0)
    with pytest.MonkeyPatch.context() as patch:
        silence(patch)
        with make_private(model, optimizer, plan, plan.expected_batch) as (lent, step):
            for start in range(0, len(weights), micro):
                losses = lent(inputs[start : start + micro]).square().sum(dim=1)
                (torch.tensor(weights[start : start + micro]) * losses).sum().backward()
                step.accumulate()
            step.finish()
    return [gradient * plan.expected_batch for gradient in optimizer.taken]


def gradients(weights: Sequence[float]) -> list[list[torch.Tensor]]:
    model, inputs = network(), torch.linspace(-1, 1, 3 * len(weights)).reshape(-1, 3)
    losses = [w * model(x[None]).square().sum() for w, x in zip(weights, inputs, strict=True)]
    return [list(torch.autograd.grad(loss, list(model.parameters()))) for loss in losses]


def expected(weights: Sequence[float], mode: ClippingMode, bound: float) -> list[torch.Tensor]:
    """Return the sum by the formula of each mode, one record after the other."""
    total = [torch.zeros_like(p) for p in network().parameters()]
    for record in gradients(weights):
        norm = torch.cat([g.flatten() for g in record]).norm()
        for k, g in enumerate(record):
            if mode == "automatic":
                factor = bound / (norm + 0.01)
            elif mode == "per-layer":
                factor = (bound / math.sqrt(len(total)) / (g.norm() + 1e-6)).clamp(max=1)
            else:
                factor = (bound / (norm + 1e-6)).clamp(max=1)
            total[k] += factor * g
    return total


@every_mode
@given(weights=WEIGHTS)
@settings(max_examples=15, deadline=None)
def test_a_step_is_the_sum_of_records_clipped_by_the_modes_formula(mode: ClippingMode, weights: list[float]) -> None:
    found = released(weights, replace(PLAN, clipping=mode))
    for one, other in zip(found, expected(weights, mode, PLAN.clipping_norm), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@every_mode
@given(weights=WEIGHTS, more=st.sampled_from([1e-3, 1.0, 1e5, 1e20, 1e38, float("inf"), float("nan")]))
@settings(max_examples=25, deadline=None)
def test_one_record_more_moves_the_sum_by_at_most_the_clipping_norm(
    mode: ClippingMode, weights: list[float], more: float
) -> None:
    plan = replace(PLAN, clipping=mode)
    with_it = released([*weights, more], plan)
    without = released([*weights, 0.0], plan)  # a record of no gradient adds nothing
    moved = torch.cat([(a - b).flatten() for a, b in zip(with_it, without, strict=True)]).norm()
    assert float(moved) <= plan.clipping_norm * (1 + 1e-4)


@every_mode
def test_every_tensor_gets_the_planned_noise_in_every_mode(mode: ClippingMode, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = silence(monkeypatch)
    plan = replace(PLAN, clipping=mode, steps_per_round=1)
    model = network()
    with make_private(model, torch.optim.SGD(model.parameters(), lr=0.1), plan, plan.expected_batch) as (_, step):
        step.finish()
    size = sum(parameter.numel() for parameter in model.parameters())
    gradient = plan.mechanism(size, rounding_slack("float32", plan.expected_batch))
    assert gradient.std == pytest.approx(plan.gradient_noise * plan.clipping_norm, rel=1e-3)
    spare = 1 + 2 * rounding_slack("float32", plan.expected_batch) / RAMP  # of the 1/2 that a record counts for
    count = [(1, pytest.approx(plan.count_noise * spare / grid_of(0.5)))] if mode == "adaptive" else []
    assert drawn == [(size, gradient.std / gradient.grid), *count]


@given(noise=st.floats(0.05, 50), rate=st.floats(0.01, 1), declared=st.integers(200, 10**6))
def test_the_count_of_adaptive_clipping_is_paid_for_with_noise_on_the_gradient(
    noise: float, rate: float, declared: int
) -> None:
    # Measured in its own noise, a record moves the gradient by 1 / z_g and the count by 1 / (2 s): together by 1 / z.
    plan = PrivacyPlan(rate, noise, 0.5, 4, 2, 1e-7, declared, clipping="adaptive")
    assert math.hypot(1 / plan.gradient_noise, 0.5 / plan.count_noise) == pytest.approx(1 / noise, rel=1e-9)
    assert noise < plan.gradient_noise < 1.16 * noise
    assert replace(plan, clipping="flat").gradient_noise == noise


def test_every_mode_costs_the_same_epsilon() -> None:
    assert len({replace(PLAN, clipping=mode).events for mode in MODES}) == 1


def test_adaptive_clipping_ends_at_the_median_norm_and_carries_it_over_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    silence(monkeypatch)
    plan = replace(PLAN, clipping="adaptive", clipping_norm=30.0)  # far above every norm
    model = network()
    inputs, weights = torch.randn(17, 3), torch.linspace(0.1, 3.0, 17)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    rows = [
        torch.autograd.grad(w * model(x[None]).square().sum(), list(model.parameters()))
        for w, x in zip(weights, inputs, strict=True)
    ]
    median = float(torch.stack([torch.cat([g.flatten() for g in row]).norm() for row in rows]).median())
    for _ in range(3):  # rounds
        with make_private(model, optimizer, plan, plan.expected_batch) as (lent, step):
            for _ in range(40):
                (weights * lent(inputs).square().sum(dim=1)).sum().backward()
                step.accumulate()
                step.finish()
        kept = optimizer.state_dict()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        optimizer.load_state_dict(kept)
    assert optimizer.param_groups[0]["clipping_norm"] == pytest.approx(median, rel=0.15)


def test_the_clipping_norm_moves_by_a_noised_count() -> None:
    model, plan = network(), replace(PLAN, clipping="adaptive")
    norms, optimizer = [plan.clipping_norm], torch.optim.SGD(model.parameters(), lr=0.0)
    with make_private(model, optimizer, plan, plan.expected_batch) as (_, step):
        for _ in range(300):
            step.finish()
            norms.append(optimizer.param_groups[0]["clipping_norm"])
    moved = torch.tensor(norms, dtype=torch.float64).log().diff() / -clipping.PACE
    std = plan.count_noise / plan.expected_batch  # of the share, around 1/2 for an empty batch
    assert float(moved.std()) == pytest.approx(std, rel=0.25)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(768, 8), (4096, 16), (768, 768)])
def test_the_share_of_a_record_is_within_c_in_float64_whatever_its_gradient(
    mode: ClippingMode, shape: tuple[int, int]
) -> None:
    """One large number, and many whose squares are below half the last bit of a float32 sum that holds the large one."""
    parameter = nn.Parameter(torch.zeros(shape))
    optimizer = CLIPPING[mode](torch.optim.SGD([parameter], lr=0.1), replace(PLAN, clipping=mode), 0.0)
    gradient = torch.full((math.prod(shape),), 2**-12.6)
    gradient[0] = 1.0
    parameter.grad_sample = gradient.reshape(1, *shape) * 1e4  # type: ignore[attr-defined]
    optimizer.clip_and_accumulate()
    share = float(parameter.summed_grad.double().norm())  # type: ignore[attr-defined]
    assert share <= PLAN.clipping_norm * (1 + 1e-6)


@pytest.mark.parametrize("size", [1e3, 1e5, 1e9])
def test_a_record_whose_positions_cancel_moves_the_sum_by_at_most_the_clipping_norm(size: float) -> None:
    """Its gradient has norm 0, so nothing would clip it; the factors that make it are as large as they like."""
    generator = torch.Generator().manual_seed(1)
    inputs, weights = torch.randn(2, 32, 4, 256, generator=generator)
    inputs[-1] = weights[-1] = 0
    sums = []
    for _ in range(2):
        model = nn.Sequential(nn.Linear(256, 256, bias=False))
        optimizer = Recorder(model.parameters(), lr=0.0)
        with pytest.MonkeyPatch.context() as patch:
            silence(patch)
            torch.nn.init.zeros_(model[0].weight)
            with make_private(model, optimizer, PLAN, PLAN.expected_batch) as (lent, step):
                (lent(inputs) * weights).sum().backward()
                assert isinstance(model[0].weight.grad_sample, Factored)
                step.accumulate()
                step.finish()
        sums.append(optimizer.taken[0].double() * PLAN.expected_batch)
        inputs[-1, :2] = torch.randn(256, generator=generator) * size
        weights[-1, 0] = torch.randn(256, generator=generator)
        weights[-1, 1] = -weights[-1, 0]
    assert float((sums[1] - sums[0]).norm()) <= PLAN.clipping_norm * (1 + 1e-4)  # sums come back in float32


def test_equal_records_at_the_clipping_norm_do_not_cross_it_together() -> None:
    """Rounding moves the norms of all of them by a part in a million; a sharp edge would count all of them otherwise."""
    counts = []
    for scale in (1 - 1e-6, 1 + 1e-6):
        parameter = nn.Parameter(torch.zeros(1))
        optimizer = AdaptiveClipping(torch.optim.SGD([parameter], lr=0.1), replace(PLAN, clipping="adaptive"), 0.0)
        parameter.grad_sample = torch.full((1000, 1), PLAN.clipping_norm * scale)  # type: ignore[attr-defined]
        optimizer.clip_and_accumulate()
        counts.append(float(optimizer.balance))
    assert abs(counts[1] - counts[0]) <= 1000 * 2e-6 / 0.2 * 1.1


@every_mode
@pytest.mark.parametrize("size", [1.0, 1e12, 1e13, 1e15, 1e18, 1e20, 1e30, 1e38])
def test_no_gradients_are_in_the_sum_in_one_form_and_left_out_in_the_other(mode: ClippingMode, size: float) -> None:
    """A longer record turns the form of a whole batch, so all its records would join or leave the sum with that one."""
    generator = torch.Generator().manual_seed(3)
    left, right = (torch.randn(60, width, generator=generator) for width in (30, 40))
    factored, sums = Factored(left, right * size, Layout(((20, 3),))), []
    for form in (factored, factored.dense()):
        parameter = nn.Parameter(torch.zeros(30, 40))
        optimizer = CLIPPING[mode](torch.optim.SGD([parameter], lr=0.1), replace(PLAN, clipping=mode), 0.0)
        parameter.grad_sample = form  # type: ignore[attr-defined]
        optimizer.clip_and_accumulate()
        sums.append(optimizer.summed())
    assert float((sums[0] - sums[1]).norm()) <= 1e-5 * PLAN.clipping_norm
    assert bool(sums[0].any()) == (size < 1e15)  # far from any gradient that trains
