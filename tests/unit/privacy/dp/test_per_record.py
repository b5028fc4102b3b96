"""Adapters of each family against PEFT's own forward pass, record by record: per-record gradients, plain ones, a step."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import IA3Config, LoraConfig, get_peft_model
from record_by_record import DECODER, ENCODER, TOLERANCE, Stack, distance, from_unpadded, looped, losses, per_record, trained
from silence import silence
from torch import nn
from transformers import BertModel, LlamaModel

from privacy.dp.engine import make_private
from privacy.dp.gradients import dense
from privacy.dp.per_record import cover_of, fused, per_record_gradients
from privacy.dp.plan import PrivacyPlan
from shared.adapters import core
from shared.config.adapter import AdapterSection

Adapted = Callable[[nn.Module, list[str], int], Any]


def lora(base: nn.Module, targets: list[str], rank: int, trains: str = "AB", **choices: Any) -> Any:
    model: Any = get_peft_model(base, LoraConfig(r=rank, lora_alpha=3, target_modules=targets, **choices))  # type: ignore[arg-type]
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.5)
            parameter.requires_grad_(any(f"lora_{factor}" in name for factor in trains))
    return model


def ia3(base: nn.Module, targets: list[str], rank: int, inputs: Sequence[str] = ("second",), **choices: Any) -> Any:
    scaled = [name for name in targets if name in inputs]
    model: Any = get_peft_model(base, IA3Config(target_modules=targets, feedforward_modules=scaled, **choices))  # type: ignore[arg-type]
    for name, parameter in model.named_parameters():
        if "ia3_l" in name:
            nn.init.normal_(parameter, mean=1.0, std=0.5)
    return model


def with_core(base: nn.Module, targets: list[str], rank: int, **choices: Any) -> Any:
    model: Any = get_peft_model(base, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, **choices))  # type: ignore[arg-type]
    core.start(model, AdapterSection(family="core", rank=rank), seed=3)
    for factor in core.cores(model).values():
        nn.init.normal_(factor.core.weight, std=0.5)
    return model


FAMILIES: Mapping[str, Sequence[Adapted]] = {
    "lora": [partial(lora, trains=trains, use_rslora=root) for trains in ("A", "B", "AB") for root in (False, True)],
    "ia3": [partial(ia3, inputs=inputs) for inputs in ((), ("second",), ("first", "second"))],
    "core": [with_core],
}
each_family = pytest.mark.parametrize("family", FAMILIES)


@dataclass(frozen=True)
class Case:
    """A model of two adapted layers and a trained head, and the shape of its records."""

    adapted: Adapted
    records: int = 4
    positions: tuple[int, ...] = (7,)
    width: int = 6
    hidden: int = 6
    rank: int = 2
    dtype: torch.dtype = torch.float64

    def model(self) -> Any:
        torch.manual_seed(self.width)
        base = Stack(self.width, self.hidden)
        made: Any = partial(self.adapted, modules_to_save=["head"])
        return made(base, ["first", "second"], self.rank).to(self.dtype).train()

    def inputs(self) -> torch.Tensor:
        return torch.randn(self.records, *self.positions, self.width, dtype=self.dtype)


def cases(family: str, dtype: torch.dtype = torch.float64) -> st.SearchStrategy[Case]:
    sizes = {name: st.integers(1, most) for name, most in (("records", 5), ("width", 24), ("hidden", 24), ("rank", 9))}
    positions = st.sampled_from([(), (1,), (3,), (17,), (40,), (2, 9)])
    return st.builds(Case, st.sampled_from(FAMILIES[family]), positions=positions, dtype=st.just(dtype), **sizes)


def alone(model: Any, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return each record's gradient, computed by itself."""
    return looped(model, lambda i: losses(model, x[i : i + 1]).sum(), len(x))


@each_family
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_each_records_gradient_is_the_one_it_has_alone(family: str, dtype: torch.dtype, data: st.DataObject) -> None:
    case = data.draw(cases(family, dtype))
    model, x = case.model(), case.inputs()
    assert not cover_of(model).missing
    keys = list(model.state_dict())
    assert distance(per_record(model, lambda: losses(model, x)), alone(model, x)) < TOLERANCE[dtype]
    assert list(model.state_dict()) == keys


@each_family
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_without_privacy_the_gradients_are_pefts(family: str, data: st.DataObject) -> None:
    case = data.draw(cases(family))
    model, x = case.model(), case.inputs().requires_grad_()
    wanted = [*trained(model).values(), x]
    expected = torch.autograd.grad(losses(model, x).sum(), wanted)
    with fused(model):
        found = torch.autograd.grad(losses(model, x).sum(), wanted)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@each_family
@given(data=st.data(), bound=st.sampled_from([0.01, 0.3, 100.0]))
@settings(max_examples=12, deadline=None)
def test_a_step_is_the_sum_of_clipped_records(family: str, data: st.DataObject, bound: float) -> None:
    case = data.draw(cases(family, torch.float32))
    assert off_clipped_sum(case.model(), case.inputs(), bound) < 1e-2  # float32 weights hold a small step so coarsely


def test_a_step_is_the_sum_of_clipped_records_where_a_core_is_left_to_hooks() -> None:
    """Another trained layer, which no fused layer covers, leaves all gradients to Opacus' hooks."""
    case = Case(with_core, positions=(5,), dtype=torch.float32)
    model = case.model()
    norm = model.base_model.model.norm = nn.LayerNorm(6)
    model.base_model.model.second.register_forward_hook(lambda layer, given, out: norm(out))
    assert cover_of(model).missing
    assert off_clipped_sum(model, case.inputs(), 0.3) < 1e-2


def off_clipped_sum(model: Any, x: torch.Tensor, bound: float) -> float:
    """Return how far a step without noise is from the sum of clipped records, in units of C."""
    gradients = torch.cat([g.flatten(1) for g in alone(model, x).values()], dim=1)  # (n, numbers)
    factors = (bound / (gradients.norm(dim=1) + 1e-6)).clamp(max=1)
    before = torch.cat([p.detach().flatten() for p in trained(model).values()])
    plan = PrivacyPlan(0.1, 1.3, bound, 4, 2, 1e-4, 170)
    with pytest.MonkeyPatch.context() as patch:
        silence(patch)
        with make_private(model, torch.optim.SGD(trained(model).values(), lr=1.0), plan, 1.0) as (lent, step):
            losses(lent, x).sum().backward()
            step.accumulate()
            step.finish()
    moved = before - torch.cat([p.detach().flatten() for p in trained(model).values()])
    return float((moved * plan.expected_batch - factors @ gradients).norm()) / bound


@each_family
def test_no_ordinary_gradient_is_computed_beside_the_per_record_ones(family: str) -> None:
    case = Case(FAMILIES[family][-1])
    model = case.model()
    with per_record_gradients(model):
        losses(model, case.inputs()).sum().backward()
        assert all(p.grad is None for p in model.parameters())


@each_family
def test_a_batch_of_no_records_gives_gradients_of_no_records(family: str) -> None:
    model = Case(FAMILIES[family][-1]).model()
    found = per_record(model, lambda: losses(model, torch.zeros(0, 7, 6, dtype=torch.float64)))
    assert all(tuple(found[name].shape) == (0, *p.shape) for name, p in trained(model).items())


@each_family
def test_a_layer_that_is_used_twice_adds_up(family: str) -> None:
    case = Case(FAMILIES[family][-1])
    model, x = case.model(), case.inputs()

    def twice(rows: torch.Tensor) -> torch.Tensor:
        return losses(model, rows) + losses(model, rows.cos())

    expected = looped(model, lambda i: twice(x[i : i + 1]).sum(), 4)
    assert distance(per_record(model, lambda: twice(x)), expected) < 1e-12


@pytest.mark.parametrize("family", ["lora", "ia3"])
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_under_autocast_the_gradients_are_float32_and_near_the_exact_ones(family: str, data: st.DataObject) -> None:
    case = data.draw(cases(family, torch.float32))
    model, x = case.model(), case.inputs()
    expected = alone(model, x)
    with per_record_gradients(model):
        with torch.autocast("cpu", torch.bfloat16):
            total = losses(model, x).sum()
        total.backward()
        found = {name: dense(p.grad_sample) for name, p in trained(model).items()}
    assert {g.dtype for g in found.values()} == {torch.float32}
    flat, true = (torch.cat([g.flatten(1) for g in grads.values()], dim=1) for grads in (found, expected))
    assert float((flat - true).norm() / true.norm().clamp(min=1e-3)) < 0.1  # bfloat16 keeps 8 bits


class Other(nn.Linear):
    """Not the layer that PEFT knows, as a quantised one is not."""


@pytest.mark.parametrize("adapted", [*FAMILIES["lora"][::2], *FAMILIES["ia3"][1:2]], ids=["A", "B", "AB", "ia3"])
def test_any_frozen_base_layer_will_do(adapted: Adapted) -> None:
    case = Case(adapted)
    model, x = case.model(), case.inputs().requires_grad_()
    expected, expected_x = alone(model, x), torch.autograd.grad(losses(model, x).sum(), x)[0]
    for layer in model.modules():
        if hasattr(layer, "base_layer"):
            layer.base_layer.__class__ = Other
    assert not cover_of(model).missing
    with per_record_gradients(model):
        found_x = torch.autograd.grad(losses(model, x).sum(), x)[0]
        found = {name: dense(p.grad_sample) for name, p in trained(model).items()}
    torch.testing.assert_close(found_x, expected_x, rtol=1e-10, atol=1e-12)
    assert distance(found, expected) < 1e-12


MODELS: Mapping[str, tuple[Callable[[Any], Any], Any, list[str], list[str]]] = {
    "encoder": (partial(BertModel, add_pooling_layer=False), ENCODER, ["query", "key", "value", "dense"], ["dense"]),
    "decoder": (LlamaModel, DECODER, ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"], ["down_proj"]),
}
KINDS = [(family, kind) for family in ("lora", "ia3") for kind in ("none", "reentrant", "non-reentrant")]


@pytest.mark.parametrize("end_to_end", [False, True], ids=["padded", "end to end"])
@pytest.mark.parametrize(("family", "checkpointing"), [*KINDS, ("core", "none")])
@pytest.mark.parametrize("kind", MODELS)
def test_a_batchs_records_have_the_gradients_that_they_have_alone_under_both_kinds_of_checkpointing(
    kind: str, family: str, checkpointing: str, end_to_end: bool
) -> None:
    torch.manual_seed(3)
    maker, config, targets, inputs = MODELS[kind]
    config = copy.deepcopy(config)
    if family == "core" and end_to_end:
        config._attn_implementation = "sdpa"
    adapted: Any = {"lora": lora, "ia3": partial(ia3, inputs=inputs), "core": with_core}[family]
    model = adapted(maker(config), targets, 3).double().train()
    assert from_unpadded(model, checkpointing, end_to_end=end_to_end) < 1e-11
