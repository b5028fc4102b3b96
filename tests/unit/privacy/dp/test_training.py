"""A user of make_private cannot get a too-low epsilon by ordinary mistakes, and what trains is DP-SGD."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from silence import silence
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset

from privacy.accounting import Accountant
from privacy.dp.plan import PrivacyPlan
from privacy.dp.training import Batch, make_private
from privacy.mechanism_event import MechanismEvent
from shared.errors import PrivacyError

FACTS: dict[str, Any] = {"declared_size": 60, "sampling_rate": 0.2, "steps": 4, "noise_multiplier": 1.0}
PLAN = PrivacyPlan.of(**FACTS)
X = torch.randn(60, 5, generator=torch.Generator().manual_seed(3))
Y = (X[:, 0] > 0).long()


def losses(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(model(x), y, reduction="none")


def net(*inner: nn.Module) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 8), *inner, nn.Linear(8, 2))


def prepared(model: nn.Module | None = None, plan: Any = PLAN, data: Any = (X, Y), loss: Any = losses, **more: Any) -> Any:
    model = model or net(nn.ReLU())
    return make_private(model, torch.optim.SGD(model.parameters(), lr=0.5), plan, data, loss, **more)


def test_a_step_is_the_clipped_mean_over_the_sampled_records(monkeypatch: pytest.MonkeyPatch) -> None:
    silence(monkeypatch)
    model, step, batches = prepared(at_once=5)
    before = copy.deepcopy(model)
    batch = next(batches)
    step(batch)
    total = [torch.zeros_like(p) for p in before.parameters()]
    for row in batch.rows:
        gradients = torch.autograd.grad(losses(before, X[row : row + 1], Y[row : row + 1]).sum(), list(before.parameters()))
        norm = torch.cat([g.flatten() for g in gradients]).norm()
        total = [t + g * min(1.0, 1 / (norm + 1e-6)) for t, g in zip(total, gradients, strict=True)]
    for now, then, gradient in zip(model.parameters(), before.parameters(), total, strict=True):
        torch.testing.assert_close(now, then - 0.5 * gradient / 12, atol=1e-6, rtol=1e-5)


def test_the_plan_accounts_for_all_steps_that_run_and_more_are_refused() -> None:
    _, step, batches = prepared()
    taken = 0
    for batch in batches:
        step(batch)
        taken += 1
    assert taken == 4
    assert PLAN.epsilon() == Accountant().epsilon([MechanismEvent(0.2, 1.0, 4)], PLAN.target_delta)
    with pytest.raises(PrivacyError, match=r"all 4 steps of the plan are taken.*make a plan with more steps"):
        list(batches)


def test_only_the_batch_that_was_drawn_last_is_stepped_on_and_only_once() -> None:
    _, step, batches = prepared()
    batch = next(batches)
    for other in ((X[:12], Y[:12]), Batch(batch.rows, batch.number)):
        with pytest.raises(PrivacyError, match="not the batch that was drawn last"):
            step(other)
    step(batch)
    with pytest.raises(PrivacyError, match="not the batch that was drawn last"):
        step(batch)
    next(batches)
    with pytest.raises(PrivacyError, match="also for an empty one"):
        next(batches)


def test_an_empty_batch_is_a_step_that_adds_noise() -> None:
    model, step, batches = prepared(plan=PrivacyPlan.of(**(FACTS | {"sampling_rate": 1 / 60, "steps": 20})))
    for batch in batches:
        before = [p.detach().clone() for p in model.parameters()]
        step(batch)
        if not batch.rows:
            assert all((now != then).any() for now, then in zip(model.parameters(), before, strict=True))
            return
    pytest.fail("no batch of 20 was empty, which happens less than once in 100 million times")


def test_a_step_of_the_own_optimiser_is_noticed() -> None:
    model = net(nn.ReLU())
    optimizer = torch.optim.Adam(model.parameters())
    _, step, batches = make_private(model, optimizer, PLAN, (X, Y), losses)
    step(next(batches))
    losses(model, X, Y).mean().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    with pytest.raises(PrivacyError, match="changed between private steps"):
        step(next(batches))


@pytest.mark.parametrize("way", ["data", "fused", "replaced"])
def test_a_change_of_the_weights_that_moves_no_counter_is_noticed(way: str) -> None:
    model, step, batches = prepared()
    step(next(batches))
    if way == "fused":  # a second optimiser
        losses(model, X, Y).mean().backward()  # type: ignore[no-untyped-call]
        torch.optim.Adam(model.parameters(), fused=True).step()
    elif way == "data":
        model[0].weight.data.mul_(0.9)
    else:
        model[0].weight = nn.Parameter(model[0].weight.detach() * 0.9)
    with pytest.raises(PrivacyError, match=r"changed between private steps|other tensors are trained"):
        step(next(batches))


@pytest.mark.parametrize("way", ["unfrozen", "added"])
def test_what_is_trained_cannot_change_after_the_checks(way: str) -> None:
    model = net(nn.ReLU())
    model[0].requires_grad_(way == "added")
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.5)
    _, step, batches = make_private(model, optimizer, PLAN, (X, Y), losses)
    step(next(batches))
    model[0].requires_grad_(True)
    if way == "added":
        optimizer.add_param_group({"params": list(model[0].parameters())})
    with pytest.raises(PrivacyError, match="decide before make_private which layers are trained"):
        step(next(batches))


def test_a_layer_outside_the_model_that_the_losses_train_is_refused() -> None:
    """The plan's noise never reaches it: its own optimiser would step on a plain gradient of the records."""
    head = nn.Linear(2, 2)

    def outside(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(head(model(x)), y, reduction="none")

    with pytest.raises(PrivacyError, match="not part of the model"):
        prepared(loss=outside)
    head.requires_grad_(False)
    prepared(loss=outside)


def test_a_record_that_is_in_the_data_twice_is_refused() -> None:
    rows = TensorDataset(X, Y)
    half = Subset(rows, range(30))
    for data in (Subset(rows, [0, *range(59)]), ConcatDataset([half, half]), ConcatDataset([rows, Subset(half, [3])])):
        with pytest.raises(PrivacyError, match="more than once"):
            prepared(data=data)
    prepared(data=ConcatDataset([half, Subset(rows, range(30, 60))]))


def test_after_a_step_that_failed_no_other_is_taken() -> None:
    calls: list[int] = []

    def failing(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if calls:
            raise MemoryError
        return losses(model, x, y)

    _, step, batches = prepared(plan=PrivacyPlan.of(**(FACTS | {"sampling_rate": 1.0})), loss=failing)
    calls.append(1)
    with pytest.raises(MemoryError):
        step(next(batches))
    calls.clear()
    with pytest.raises(PrivacyError, match="an earlier step failed"):
        step(next(batches))


class Mixing(nn.Module):
    """Takes the mean of the batch away, so that each record changes all others."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(dim=0)


class Remembering(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.mean += x.detach().mean(dim=0)
        return x


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (lambda: nn.BatchNorm1d(8), "1: batch normalisation mixes records"),
        (lambda: nn.BatchNorm1d(8, affine=False).eval(), "batch normalisation mixes records"),
        (Mixing, "per-record gradients differ from a one-record loop"),
        (Remembering, "keeps statistics of the records"),
    ],
)
def test_layers_that_mix_or_keep_records_are_refused(layer: Callable[[], nn.Module], says: str) -> None:
    model = net(layer())
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(PrivacyError, match=says):
        prepared(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class RememberingLater(Remembering):
    """Hides from a check on four records."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 4:
            self.mean = self.mean + x.detach().mean(dim=0)
        return x


def test_a_layer_that_begins_to_keep_statistics_during_training_is_refused() -> None:
    _, step, batches = prepared(net(RememberingLater()), plan=PrivacyPlan.of(**(FACTS | {"sampling_rate": 1.0})))
    with pytest.raises(PrivacyError, match="keeps statistics of the records"):
        step(next(batches))
    with pytest.raises(PrivacyError, match="an earlier step failed"):
        step(next(batches))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.LSTM(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.inner(x[:, None])[0][:, 0]
        return result


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda: net(Recurrent()), "per-record gradient|could not be computed"),
        (lambda: net().double(), r"call model\.float\(\)"),
        (lambda: GradSampleModule(net()), "wrapped by Opacus"),
    ],
)
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_models_without_known_gradients_are_refused_in_a_sentence(model: Callable[[], nn.Module], says: str) -> None:
    with pytest.raises(PrivacyError, match=says):
        prepared(model())


def test_losses_that_are_not_each_record_s_own_are_refused() -> None:
    for loss in (lambda m, x, y: losses(m, x, y).mean(), lambda m, x, y: losses(m, x, y).mean().item()):
        with pytest.raises(PrivacyError, match="return one loss a record"):
            prepared(loss=loss)
    for loss in (
        lambda m, x, y: losses(m, x, y) * losses(m, x, y).mean(),
        lambda m, x, y: losses(m, x, y) + m[0].weight.square().sum(),
    ):
        with pytest.raises(PrivacyError, match="differ from a one-record loop"):
            prepared(loss=loss)


def test_data_that_is_batched_already_or_of_another_size_is_refused() -> None:
    for data, says in (
        (DataLoader(TensorDataset(X, Y), batch_size=12), "DataLoader cuts batches of its own.*pass a tuple of tensors"),
        ((X, Y[:-1]), "different numbers of rows"),
        (list(zip(X, Y, strict=True)), "not a data set"),
        ((X[:20], Y[:20]), "20 records, and the plan divides by an expected batch of 12 of 60"),
        ((X.repeat(4, 1), Y.repeat(4)), "set declared_size near the number of records"),
    ):
        with pytest.raises(PrivacyError, match=says):
            prepared(data=data)
    assert len(prepared(data=TensorDataset(X, Y))[2]) == 4


def test_a_second_call_on_the_same_model_is_refused() -> None:
    model = net(nn.ReLU())
    prepared(model)
    for again in (model, copy.deepcopy(model), nn.Sequential(model), nn.Sequential(model[0], nn.Linear(8, 2))):
        with pytest.raises(PrivacyError, match="add both plans up with Accountant"):
            prepared(again)


def test_an_optimiser_of_another_model_and_a_plan_of_another_kind_are_refused() -> None:
    model, other = net(), net()
    for parameters in (other.parameters(), [*model.parameters(), *other.parameters()]):
        with pytest.raises(PrivacyError, match="no others"):
            make_private(model, torch.optim.SGD(parameters), PLAN, (X, Y), losses)
    with pytest.raises(PrivacyError, match="without Opacus"):
        plain = torch.optim.SGD(model.parameters())
        optimizer = DPOptimizer(plain, noise_multiplier=1.0, max_grad_norm=1.0, expected_batch_size=12)
        make_private(model, optimizer, PLAN, (X, Y), losses)
    for plan in (None, 3.0, PrivacyPlan(1.0, 1.0, 1.0, 1, 1, 1e-4, 60, unit="site", trust="central")):
        with pytest.raises(PrivacyError, match=r"PrivacyPlan\.of"):
            prepared(plan=plan)
    with pytest.raises(PrivacyError, match="at_once = 0"):
        prepared(at_once=0)


def test_random_numbers_of_a_step_do_not_follow_a_public_seed_nor_disturb_it() -> None:
    seeds, drawn = [], []

    def noting(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seeds.append(torch.initial_seed())
        return losses(model, x, y)

    for _ in range(2):
        _, step, batches = prepared(
            net(nn.Dropout(0.5)), plan=PrivacyPlan.of(**(FACTS | {"sampling_rate": 1.0})), loss=noting
        )
        torch.manual_seed(5)
        step(next(batches))
        drawn.append(torch.rand(1))
    assert torch.equal(*drawn)
    assert seeds[-1] not in (5, *seeds[:-1])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"epsilon": 1.0}, "either epsilon or noise_multiplier"),
        ({"noise_multiplier": None}, "either epsilon or noise_multiplier"),
        ({"steps": 0}, "whole numbers of at least 1"),
        ({"steps": 2.5}, "whole numbers of at least 1"),
        ({"declared_size": 0}, "whole numbers of at least 1"),
        ({"clipping": "none"}, "clipping is one of flat"),
        ({"noise_multiplier": None, "epsilon": -1.0}, "above 0 and at most 100"),
    ],
)
def test_a_plan_with_impossible_numbers_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(PrivacyError, match=says):
        PrivacyPlan.of(**(FACTS | change))


def test_a_plan_for_an_epsilon_costs_at_most_that_and_no_negative_rounds() -> None:
    plan = PrivacyPlan.of(**(FACTS | {"noise_multiplier": None, "epsilon": 2.0}))
    assert 1.99 < plan.epsilon() <= 2.0
    with pytest.raises(PrivacyError, match="rounds -1"):
        plan.epsilon(-1)
    with pytest.raises(PrivacyError, match="add-or-remove-one"):
        replace(plan, relation="replace-one")
