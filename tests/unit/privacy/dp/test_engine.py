from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from fixture_types import LearnerOf, RecordsOf, Shake
from record_by_record import trained
from scipy.stats import kstest
from silence import silence
from torch import nn

from privacy.dp.engine import Step, make_private
from privacy.dp.mechanism import grid_of
from privacy.dp.plan import PrivacyPlan
from privacy.dp.rounding import Dtype, rounding_slack
from shared.config.run import RunConfig
from shared.errors import PrivacyError
from shared.tasks.base import Learner
from shared.tasks.examples import Example, collate

CPU = torch.device("cpu")
PLAN = PrivacyPlan(
    sampling_rate=0.1,
    noise_multiplier=1.3,
    clipping_norm=0.5,
    steps_per_round=4,
    rounds=2,
    target_delta=1e-4,
    declared_size=170,
)
DIVISOR = 17.0


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No noise, so that what is left can be compared with a loop."""
    silence(monkeypatch)


@pytest.fixture
def learner(either: RunConfig, learner_of: LearnerOf, shake: Shake) -> Learner:
    made = learner_of(either)
    shake(made)
    made.model.train()
    return made


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trained(model).items()}


def alone(learner: Learner, example: Example, scale: float = 1.0) -> dict[str, torch.Tensor]:
    """Return the gradient of one record, computed alone."""
    loss = scale * learner.task.losses(learner.model, collate([example], 0, CPU)).sum()
    parameters = trained(learner.model)
    return dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))


def clipped_mean(
    learner: Learner, examples: Sequence[Example], scales: Sequence[float], bound: float
) -> dict[str, torch.Tensor]:
    """Return what a step must subtract: sum_i g_i min(1, C / (|g_i| + 1e-6)) / divisor, from a one-record loop."""
    total = {name: torch.zeros_like(p) for name, p in trained(learner.model).items()}
    for example, scale in zip(examples, scales, strict=True):
        gradient = alone(learner, example, scale)
        norm = float(torch.cat([g.flatten().double() for g in gradient.values()]).norm())
        for name, g in gradient.items():
            total[name] += g * min(1.0, bound / (norm + 1e-6))
    return {name: t / DIVISOR for name, t in total.items()}


def step_once(
    learner: Learner, examples: Sequence[Example], scales: Sequence[float], tokens: int, plan: PrivacyPlan | None
) -> dict[str, torch.Tensor]:
    """Return what one step of gradient descent at rate 1 subtracted from each tensor."""
    before = values(learner.model)
    optimizer = torch.optim.SGD(trained(learner.model).values(), lr=1.0)
    with make_private(learner.model, optimizer, plan, DIVISOR) as (model, step):
        micro = 0
        for chosen, batch in learner.batches(examples, range(len(examples)), tokens):
            weights = torch.tensor([scales[i] for i in chosen])
            (weights * learner.task.losses(model, batch)).sum().backward()
            step.accumulate()
            micro += 1
        step.finish()
    assert micro > 2 or tokens > 1000
    after = values(learner.model)
    return {name: before[name] - after[name] for name in before}


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("tokens", [10_000, 48], ids=["one batch", "micro-batches"])
def test_a_step_is_the_mean_of_clipped_records(
    learner: Learner, either: RunConfig, records_of: RecordsOf, tokens: int
) -> None:
    examples, bound = learner.task.encode(records_of(either, 12)), 0.7  # some of them are clipped
    scales = [1.0] * 12
    expected = clipped_mean(learner, examples, scales, bound)
    found = step_once(learner, examples, scales, tokens, replace(PLAN, clipping_norm=bound))
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=2e-4, atol=2e-6)


def unit_step(learner: Learner, examples: Sequence[Example], units: Sequence[Sequence[int]], tokens: int) -> torch.Tensor:
    """Return what one private step subtracted, all tensors in one, when each unit's rows are averaged."""
    before = values(learner.model)
    optimizer = torch.optim.SGD(trained(learner.model).values(), lr=1.0)
    with make_private(learner.model, optimizer, PLAN, DIVISOR) as (model, step):
        for chosen, batch in learner.unit_batches(examples, units, tokens):
            shares = torch.tensor([1 / len(unit) for unit in chosen for _ in unit])
            (shares * learner.task.losses(model, batch)).sum().backward()
            step.accumulate([unit[0] for unit in chosen for _ in unit])
        step.finish()
    after = values(learner.model)
    return torch.cat([(before[name] - after[name]).flatten() for name in before])


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("tokens", [10_000, 48], ids=["one batch", "micro-batches"])
def test_a_units_rows_are_averaged_before_the_clip(
    learner: Learner, either: RunConfig, records_of: RecordsOf, tokens: int
) -> None:
    examples = learner.task.encode(records_of(either, 9))
    units = [[4], [0, 3, 5], [1], [2, 6, 7, 8]]
    expected = 0.0
    for unit in units:
        rows = [alone(learner, examples[row], 1 / len(unit)) for row in unit]
        mean = torch.cat([sum(row[name] for row in rows).flatten() for name in rows[0]])  # type: ignore[union-attr]
        expected = expected + mean * min(1.0, PLAN.clipping_norm / (float(mean.double().norm()) + 1e-6)) / DIVISOR
    torch.testing.assert_close(unit_step(learner, examples, units, tokens), expected, rtol=2e-4, atol=2e-6)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("rows", [1, 7])
def test_one_unit_more_moves_the_step_by_no_more_than_the_clipping_norm_however_many_rows_it_has(
    learner: Learner, either: RunConfig, records_of: RecordsOf, rows: int
) -> None:
    examples = learner.task.encode(records_of(either, 4 + rows))
    start = values(learner.model)
    units = [[0], [1, 2], [3], list(range(4, 4 + rows))]
    steps = []
    for some in (units, units[:-1]):
        with torch.no_grad():
            for name, parameter in trained(learner.model).items():
                parameter.copy_(start[name])
        steps.append(unit_step(learner, examples, some, 64))
    assert 0 < float((steps[0] - steps[1]).norm()) <= PLAN.clipping_norm / DIVISOR * (1 + 1e-3)


def test_a_unit_that_is_cut_over_two_micro_batches_stops_the_step(
    learner: Learner, either: RunConfig, records_of: RecordsOf
) -> None:
    examples = learner.task.encode(records_of(either, 2))
    optimizer = torch.optim.SGD(trained(learner.model).values(), lr=1.0)
    with (
        make_private(learner.model, optimizer, PLAN, DIVISOR) as (model, step),
        pytest.raises(PrivacyError, match="split over two micro-batches"),
    ):
        for row in range(2):
            _, batch = next(learner.batches(examples, [row], 10**4))
            learner.task.losses(model, batch).sum().backward()
            step.accumulate([0])


def test_without_privacy_a_step_is_the_unclipped_sum_over_the_same_divisor(
    learner: Learner, either: RunConfig, records_of: RecordsOf
) -> None:
    examples = learner.task.encode(records_of(either, 9))
    scales = [1.0, 30.0, *[1.0] * 7]
    expected = clipped_mean(learner, examples, scales, float("inf"))
    for name, tensor in step_once(learner, examples, scales, 48, None).items():
        assert float((tensor - expected[name]).norm() / expected[name].norm()) < 2e-4, name


def draws(learner: Learner, count: int, use: Callable[[nn.Module, Step], None]) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    """Return what each of ``count`` steps of gradient descent at rate 1 subtracted, by tensor: (count, numbers)."""
    rows: dict[str, list[torch.Tensor]] = {name: [] for name in trained(learner.model)}
    optimizer = torch.optim.SGD(trained(learner.model).values(), lr=1.0)
    with make_private(learner.model, optimizer, PLAN, DIVISOR) as (model, step):
        for _ in range(count):
            with torch.no_grad():
                for parameter in trained(learner.model).values():
                    parameter.zero_()
            use(model, step)
            for name, tensor in values(learner.model).items():
                rows[name].append(-tensor.flatten())
    return {name: torch.stack(tensors).double().numpy() for name, tensors in rows.items()}


def test_an_empty_batch_releases_noise_of_the_planned_size_on_every_tensor(learner: Learner) -> None:
    std = PLAN.noise_multiplier * PLAN.clipping_norm / DIVISOR
    drawn = draws(learner, 120, lambda _, step: step.finish())
    names = set(drawn)
    assert sum("lora_B" in name for name in names) == 6
    assert ("head.weight" in names) == (type(learner.task).__name__ == "Classification")
    for name, sample in drawn.items():
        assert sample.std() == pytest.approx(std, abs=5 * std / (2 * sample.size) ** 0.5), name
        assert abs(sample.mean()) < 5 * std / sample.size**0.5, name
        assert kstest(sample.ravel() / std, "norm").pvalue > 1e-6, name
        steps = abs(np.corrcoef(sample[:-1].ravel(), sample[1:].ravel())[0, 1])
        assert steps < 5 / sample[1:].size ** 0.5, name
    first = np.stack([sample[:, 0] for sample in drawn.values()])
    assert abs(np.corrcoef(first) - np.eye(len(first))).max() < 5.5 / 120**0.5


def test_noise_is_drawn_once_a_step_for_all_tensors_however_many_micro_batches(
    learner: Learner, either: RunConfig, records_of: RecordsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = silence(monkeypatch)
    step_once(learner, learner.task.encode(records_of(either, 12)), [1.0] * 12, 48, replace(PLAN, steps_per_round=1))
    numbers = sum(p.numel() for p in trained(learner.model).values())
    mechanism = PLAN.mechanism(numbers, rounding_slack("float32", PLAN.expected_batch))
    assert drawn == [(numbers, mechanism.std / mechanism.grid)]
    assert mechanism.std == pytest.approx(PLAN.noise_multiplier * PLAN.clipping_norm, rel=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_noise_covers_what_rounding_moves_in_the_dtype_that_the_frozen_base_has(
    dtype: Dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = nn.Sequential(nn.Linear(3, 4).to(getattr(torch, dtype)).requires_grad_(requires_grad=False), nn.Linear(4, 2))
    drawn = silence(monkeypatch)
    with make_private(model, torch.optim.SGD(model[1].parameters(), lr=1.0), PLAN, DIVISOR) as (_, step):
        step.finish()
    [(numbers, steps)] = drawn
    needed = PLAN.noise_multiplier * PLAN.clipping_norm * (1 + rounding_slack(dtype, PLAN.expected_batch))
    assert numbers == 10
    assert needed <= steps * grid_of(PLAN.clipping_norm) <= needed * (1 + 1e-9)


def hooks(model: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in model.modules() for kind in kinds)


@pytest.mark.parametrize("fails", [False, True], ids=["after a step", "after a failure"])
def test_the_model_comes_back_as_it_was_and_trains_plainly(
    either: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, fails: bool
) -> None:
    used, fresh = learner_of(either), learner_of(either)
    examples = used.task.encode(records_of(either, 6))
    before, attributes, hung = values(used.model), [sorted(vars(m)) for m in used.model.modules()], hooks(used.model)
    keys = list(used.model.state_dict())
    optimizer = torch.optim.SGD(trained(used.model).values(), lr=1.0)
    try:
        with make_private(used.model, optimizer, PLAN, DIVISOR) as (model, step):
            used.task.losses(model, next(used.batches(examples, range(6), 10**4))[1]).sum().backward()
            if fails:
                raise KeyError  # noqa: TRY301  a failure in the middle of a step
            step.accumulate()
            step.finish()
    except KeyError:
        pass
    assert list(used.model.state_dict()) == keys
    assert hooks(used.model) == hung
    assert [sorted(vars(module)) for module in used.model.modules()] == attributes
    leftover = {name for p in used.model.parameters() for name in vars(p)} - {"_is_hf_initialized"}  # transformers' own
    assert not leftover
    with torch.no_grad():
        for name, parameter in trained(used.model).items():
            parameter.copy_(before[name])
    one, other = (step_once(made, examples, [1.0] * 6, 10_000, None) for made in (used, fresh))
    assert all(torch.equal(one[name], other[name]) for name in one)
