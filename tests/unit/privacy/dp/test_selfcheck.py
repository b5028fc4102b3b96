from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fixture_types import Change, LearnerOf, RecordsOf, Shake
from torch import nn

from client.exactness import self_check
from privacy.dp.rounding import PER_ROOT
from privacy.dp.selfcheck import (
    furthest_as_trained,
    largest_difference,
    refuse_inexact,
    refuse_inexact_as_trained,
    refuse_rounding,
    rounding_moved,
)
from shared.config.run import RunConfig
from shared.errors import PrivacyError
from shared.records.types import Record
from shared.tasks.base import Learner
from shared.tasks.examples import Example


def longest_first(learner: Learner, records: list[Record]) -> list[Example]:
    return sorted(learner.task.encode(records), key=len, reverse=True)


def losses(learner: Learner, examples: list[Example], model: nn.Module, indices: list[int]) -> torch.Tensor:
    _, batch = next(learner.batches(examples, indices, 10**6))
    return learner.task.losses(model, batch)


def test_per_record_gradients_of_both_tasks_are_those_of_a_loop(
    either: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake
) -> None:
    learner = learner_of(change(either, {"model.max_length": 64}))
    shake(learner)
    examples = longest_first(learner, records_of(either, 8))
    assert len({len(example) for example in examples}) > 3  # padding is part of the comparison
    assert largest_difference(learner.model, lambda m, i: losses(learner, examples, m, i), 8) <= 1e-4


@pytest.mark.parametrize("tokens", ["batch", "neighbour"])
def test_a_loss_that_couples_records_is_refused(
    either: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake, tokens: str
) -> None:
    learner = learner_of(either)
    shake(learner)
    examples = longest_first(learner, records_of(either, 6))

    def coupled(model: nn.Module, indices: list[int]) -> torch.Tensor:
        own = losses(learner, examples, model, indices)
        if tokens == "batch":  # a mean over the batch's tokens instead of over the record's own
            return own / sum(len(examples[i]) for i in indices)
        return own + 0.05 * own.detach().mean() * own

    with pytest.raises(PrivacyError, match="record's influence is not bounded") as caught:
        refuse_inexact(learner.model, coupled, 6)
    assert "\n" not in str(caught.value)


class Centred(nn.Module):
    """Subtracts the mean of the batch, as a batch normalisation does."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs - inputs.mean(dim=0, keepdim=True)


class Bypassed(nn.Module):
    """Uses the weights of a layer without calling it, so that no per-record gradient is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(inputs, self.layer.weight, self.layer.bias)


def frozen(module: nn.Module) -> nn.Module:
    return module.requires_grad_(False)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "a layer that centres the batch": Centred,
    "a trained batch normalisation": lambda: nn.BatchNorm1d(4),
    "a frozen batch normalisation": lambda: frozen(nn.BatchNorm1d(4)),
    "a trained layer that is bypassed": Bypassed,
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_a_layer_that_couples_records_is_refused(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), make(), nn.Linear(4, 2))
    inputs, targets = torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1])

    def loss_of(given: nn.Module, indices: list[int]) -> torch.Tensor:
        return nn.functional.cross_entropy(given(inputs[indices]), targets[indices], reduction="none")

    with pytest.raises(PrivacyError) as caught:
        refuse_inexact(model, loss_of, 5)
    assert "\n" not in str(caught.value)


def test_dropout_is_no_reason_to_refuse_and_is_back_on_afterwards(
    classify: RunConfig, change: Change, dropout_bert: Path, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    config = change(classify, {"model.name": str(dropout_bert), "adapter.dropout": 0.1})
    learner = learner_of(config)
    rates = [module.p for module in learner.model.modules() if isinstance(module, nn.Dropout)]
    assert max(rates) == pytest.approx(0.1)
    self_check(learner, learner.task.encode(records_of(config, 9)), 4)
    assert [module.p for module in learner.model.modules() if isinstance(module, nn.Dropout)] == rates


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_check_leaves_the_model_as_it_was(
    either: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf, dtype: str
) -> None:
    learner = learner_of(change(either, {"model.dtype": dtype}))
    before = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    attributes = [sorted(vars(module)) for module in learner.model.modules()]
    self_check(learner, learner.task.encode(records_of(either, 9)), 4)
    after = learner.model.state_dict()
    assert list(after) == list(before)
    assert all(after[name].dtype == tensor.dtype and torch.equal(after[name], tensor) for name, tensor in before.items())
    assert [sorted(vars(module)) for module in learner.model.modules()] == attributes
    assert all(parameter.grad is None for parameter in learner.model.parameters())


def test_the_check_works_with_fewer_records_than_it_asks_for(
    either: RunConfig, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    learner = learner_of(either)
    for count in (1, 2, 3):
        self_check(learner, learner.task.encode(records_of(either, count)), 4)


class OfTheBatch(nn.Module):
    """Gives each row a share of its neighbours: none in float32, and more in 16 bits, as a kernel's rounding would."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype != torch.bfloat16:
            return x
        return x * (1 + self.share * torch.linspace(-1, 1, x[0].numel()).view_as(x[0]).to(x.dtype) * (len(x) % 2))


def through(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), module, nn.Linear(8, 3)).bfloat16()


def bfloat16_losses(model: nn.Module, indices: list[int]) -> torch.Tensor:
    inputs = torch.randn(5, 6, generator=torch.Generator().manual_seed(1)).to(next(model.parameters()).dtype)
    logits = model(inputs[indices])
    return nn.functional.cross_entropy(logits.float(), torch.tensor([0, 1, 2, 0, 1])[indices], reduction="none")


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_what_moves_the_others_in_the_dtype_that_trains_is_refused_though_float32_is_exact(share: float) -> None:
    model = through(OfTheBatch(share))
    refuse_inexact(model, bfloat16_losses, 5)
    with pytest.raises(PrivacyError, match=r"is accounted for, so nothing is trained; set model\.dtype = 'float32'"):
        refuse_rounding(model, bfloat16_losses, 5, PER_ROOT["bfloat16"])
    assert rounding_moved(model, bfloat16_losses, 5) > PER_ROOT["bfloat16"]
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_after_the_check_buffers_have_the_dtype_that_they_had_before() -> None:
    model = through(nn.Tanh())
    model[0].register_buffer("scale", torch.ones(1, dtype=torch.bfloat16))
    refuse_inexact(model, bfloat16_losses, 5)
    assert {buffer.dtype for buffer in model.buffers()} == {torch.bfloat16}


class Askew(nn.Module):
    """Computes each row by itself, but in 16 bits something else than in float32, as a wrong kernel would."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.roll(1, dims=1) if x.dtype == torch.bfloat16 and len(x) > 1 else x


def test_what_is_wrong_in_the_dtype_that_trains_is_refused_though_float32_is_exact_and_no_record_moves_another() -> None:
    model = through(Askew())
    refuse_inexact(model, bfloat16_losses, 5)
    refuse_rounding(model, bfloat16_losses, 5, PER_ROOT["bfloat16"])
    with pytest.raises(PrivacyError, match="in the dtype of training, per-record gradients differ from those in float32"):
        refuse_inexact_as_trained(model, bfloat16_losses, 5)


def test_the_rounding_of_the_dtype_that_trains_is_let_through() -> None:
    model = through(nn.Tanh())
    found, rounding = furthest_as_trained(model, bfloat16_losses, 5)
    assert 0 < found < 2 * rounding
    refuse_inexact_as_trained(model, bfloat16_losses, 5)


def test_gradients_that_are_not_numbers_in_the_batch_alone_are_refused() -> None:
    def losses(model: nn.Module, indices: list[int]) -> torch.Tensor:
        return bfloat16_losses(model, indices) * (float("nan") if len(indices) > 1 else 1.0)

    with pytest.raises(PrivacyError, match="differ from a one-record loop"):
        refuse_inexact(through(nn.Tanh()).float(), losses, 5)


def test_a_difference_between_gradients_whose_squares_overflow_is_refused() -> None:
    def losses(model: nn.Module, indices: list[int]) -> torch.Tensor:
        return bfloat16_losses(model, indices) * (2e22 if len(indices) > 1 else 1e22)

    with pytest.raises(PrivacyError, match="differ from a one-record loop"):
        refuse_inexact(through(nn.Tanh()).float(), losses, 5)


def test_gradients_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(PrivacyError, match="in the dtype of training"):
        refuse_inexact_as_trained(through(nn.Tanh()), lambda m, i: bfloat16_losses(m, i) * float("nan"), 5)


def test_with_two_records_there_are_no_others_to_compare() -> None:
    refuse_rounding(through(OfTheBatch(0.5)), bfloat16_losses, 2, 0.0)


def test_before_training_the_batch_is_held_to_what_its_dtype_is_charged(
    either: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = learner_of(change(either, {"model.dtype": "bfloat16"}))
    examples, seen = learner.task.encode(records_of(either, 9)), []
    monkeypatch.setattr("client.exactness.refuse_inexact_as_trained", lambda *given: seen.append(given[2:]))
    monkeypatch.setattr("client.exactness.refuse_rounding", lambda *given: seen.append(given[2:]))
    self_check(learner, examples, 4)
    assert seen == [(4,), (4, PER_ROOT["bfloat16"])]
