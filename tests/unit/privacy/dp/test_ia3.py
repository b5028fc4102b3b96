"""The scaled layer against PEFT's own, record by record: per-record gradients, clipped sums, plain gradients."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import IA3Config, get_peft_model
from record_by_record import DECODER, ENCODER, TOLERANCE, Stack, distance, from_unpadded, looped, losses, per_record, trained
from silence import silence
from torch import nn
from transformers import BertModel, LlamaModel

from privacy.dp.engine import make_private
from privacy.dp.gradients import dense
from privacy.dp.per_record import cover_of, fused, per_record_gradients
from privacy.dp.plan import ClippingMode, PrivacyPlan
from shared.errors import PrivacyError

PLACES: dict[str, tuple[list[str], list[str]]] = {
    "outputs": (["first", "second"], []),
    "inputs": (["first", "second"], ["first", "second"]),
    "one of each": (["first", "second"], ["second"]),
}


@dataclass(frozen=True)
class Setting:
    records: int
    positions: tuple[int, ...]
    width: int
    hidden: int
    places: str
    dtype: torch.dtype = torch.float64
    seed: int = 0

    def model(self, base: type[nn.Module] = Stack) -> nn.Module:
        torch.manual_seed(self.seed)
        targets, inputs = PLACES[self.places]
        config = IA3Config(target_modules=targets, feedforward_modules=inputs, modules_to_save=["head"])
        return shaken(get_peft_model(base(self.width, self.hidden), config).to(self.dtype))  # type: ignore[arg-type]

    def inputs(self) -> torch.Tensor:
        return torch.randn(self.records, *self.positions, self.width, dtype=self.dtype)


def shaken(model: Any) -> Any:
    """Return the model in training mode, with factors drawn around 1."""
    for name, parameter in model.named_parameters():
        if "ia3_l" in name:
            nn.init.normal_(parameter, mean=1.0, std=0.5)
    return model.train()


def settings_of(**fixed: Any) -> st.SearchStrategy[Setting]:
    choices: dict[str, st.SearchStrategy[Any]] = {
        "records": st.integers(1, 5),
        "positions": st.sampled_from([(), (1,), (3,), (17,), (40,), (2, 9)]),
        "width": st.integers(1, 24),
        "hidden": st.integers(1, 24),
        "places": st.sampled_from(sorted(PLACES)),
        "seed": st.integers(0, 1000),
    }
    return st.builds(Setting, **{**choices, **{name: st.just(value) for name, value in fixed.items()}})


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_each_records_gradient_is_the_one_it_has_alone(dtype: torch.dtype, data: st.DataObject) -> None:
    setting = data.draw(settings_of(dtype=dtype))
    model, x = setting.model(), setting.inputs()
    assert not cover_of(model).missing
    keys = list(model.state_dict())
    expected = looped(model, lambda i: losses(model, x[i : i + 1]).sum(), setting.records)
    assert distance(per_record(model, lambda: losses(model, x)), expected) < TOLERANCE[dtype]
    assert list(model.state_dict()) == keys


@given(setting=settings_of())
@settings(max_examples=20, deadline=None)
def test_without_privacy_the_gradients_are_pefts(setting: Setting) -> None:
    model, x = setting.model(), setting.inputs().requires_grad_()
    wanted = [*trained(model).values(), x]
    expected = torch.autograd.grad(losses(model, x).sum(), wanted)
    with fused(model):
        found = torch.autograd.grad(losses(model, x).sum(), wanted)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("mode", ["flat", "automatic", "per-layer", "adaptive"])
@given(setting=settings_of(dtype=torch.float32), bound=st.sampled_from([0.01, 0.3, 100.0]))
@settings(max_examples=15, deadline=None)
def test_a_step_is_the_sum_of_clipped_records(mode: ClippingMode, setting: Setting, bound: float) -> None:
    model, x = setting.model(), setting.inputs()
    gradients = looped(model, lambda i: losses(model, x[i : i + 1]).sum(), setting.records)
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients.values()])  # (tensors, n)
    whole = norms.norm(dim=0)
    factors = {
        "automatic": (bound / (whole + 0.01)).expand_as(norms),
        "per-layer": (bound / len(norms) ** 0.5 / (norms + 1e-6)).clamp(max=1),
    }.get(mode, (bound / (whole + 1e-6)).clamp(max=1).expand_as(norms))
    plan = PrivacyPlan(0.1, 1.3, bound, 4, 2, 1e-4, 170, clipping=mode)
    before = {name: p.detach().clone() for name, p in trained(model).items()}
    with pytest.MonkeyPatch.context() as patch:
        silence(patch)
        with make_private(model, torch.optim.SGD(trained(model).values(), lr=1.0), plan, 1.0) as (lent, step):
            losses(lent, x).sum().backward()
            step.accumulate()
            step.finish()
    for (name, parameter), factor in zip(trained(model).items(), factors, strict=True):
        expected = torch.einsum("i,i...->...", factor, gradients[name]) / plan.expected_batch
        torch.testing.assert_close(before[name] - parameter.detach(), expected, rtol=1e-4, atol=1e-5 * max(bound, 1))


def test_no_ordinary_gradient_is_computed_beside_the_per_record_ones() -> None:
    setting = Setting(4, (7,), 6, 5, "one of each")
    model, x = setting.model(), setting.inputs()
    with per_record_gradients(model):
        losses(model, x).sum().backward()
        assert all(p.grad is None for p in model.parameters())


def test_a_batch_of_no_records_gives_gradients_of_no_records() -> None:
    model = Setting(1, (7,), 6, 5, "one of each").model()
    found = per_record(model, lambda: losses(model, torch.zeros(0, 7, 6, dtype=torch.float64)))
    assert all(tuple(found[name].shape) == (0, *p.shape) for name, p in trained(model).items())


def test_a_layer_that_is_used_twice_adds_up() -> None:
    setting = Setting(4, (7,), 6, 6, "one of each")
    model, x = setting.model(), setting.inputs()

    def twice(rows: torch.Tensor) -> torch.Tensor:
        return losses(model, rows) + losses(model, rows.cos())

    expected = looped(model, lambda i: twice(x[i : i + 1]).sum(), 4)
    assert distance(per_record(model, lambda: twice(x)), expected) < 1e-12


@given(setting=settings_of(dtype=torch.float32))
@settings(max_examples=20, deadline=None)
def test_under_autocast_the_gradients_are_float32_and_near_the_exact_ones(setting: Setting) -> None:
    model, x = setting.model(), setting.inputs()
    expected = looped(model, lambda i: losses(model, x[i : i + 1]).sum(), setting.records)
    with per_record_gradients(model):
        with torch.autocast("cpu", torch.bfloat16):
            total = losses(model, x).sum()
        total.backward()
        found = {name: dense(p.grad_sample) for name, p in trained(model).items()}  # type: ignore[attr-defined]
    assert {g.dtype for g in found.values()} == {torch.float32}
    flat, true = (torch.cat([g.flatten(1) for g in grads.values()], dim=1) for grads in (found, expected))
    assert float((flat - true).norm() / true.norm().clamp(min=1e-3)) < 0.1  # bfloat16 keeps 8 bits


def test_on_a_base_in_bfloat16_the_answers_are_pefts_and_a_small_step_of_l_is_not_lost() -> None:
    setting = Setting(3, (7,), 6, 64, "one of each")
    model = setting.model()
    for name, parameter in model.named_parameters():
        parameter.data = torch.full_like(parameter, 1.003).float() if "ia3_l" in name else parameter.data.bfloat16()
    x = setting.inputs().bfloat16()
    expected = model(x)
    with per_record_gradients(model):
        assert torch.equal(model(x), expected)
    layer: Any = next(module for module in model.modules() if hasattr(module, "ia3_l") and not module.is_feedforward)
    assert not torch.equal(layer(x), layer.base_layer(x))  # 1.003 is 1 in bfloat16


class Other(nn.Linear):
    """Not the layer that PEFT knows, as a quantised one is not."""


def test_any_frozen_base_layer_will_do() -> None:
    setting = Setting(4, (7,), 6, 5, "one of each")
    model, x = setting.model(), setting.inputs()
    expected = looped(model, lambda i: losses(model, x[i : i + 1]).sum(), 4)
    for layer in model.modules():
        if hasattr(layer, "base_layer"):
            layer.base_layer.__class__ = Other
    assert not cover_of(model).missing
    assert distance(per_record(model, lambda: losses(model, x)), expected) < 1e-12


class Filtered(nn.Module):
    """A convolution over images."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Conv2d(2, 3, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.filter(x).flatten(1)  # type: ignore[no-any-return]


class Other2(Stack):
    """The same with a normalisation that is trained itself."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(width, hidden)
        self.head = nn.LayerNorm(width)  # type: ignore[assignment]


@pytest.mark.parametrize(
    "make",
    [
        lambda: get_peft_model(Filtered(), IA3Config(target_modules=["filter"], feedforward_modules=[])),  # type: ignore[arg-type]
        lambda: Setting(4, (), 6, 5, "outputs").model(Other2),
    ],
    ids=["a convolution", "a trained normalisation"],
)
def test_what_is_not_covered_is_refused_by_name(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(PrivacyError, match="ia3_l: per-record gradients") as caught, per_record_gradients(make()):
        pass
    assert "\n" not in str(caught.value)


MODELS: dict[str, tuple[Callable[[Any], nn.Module], Any, list[str], list[str]]] = {
    "encoder": (partial(BertModel, add_pooling_layer=False), ENCODER, ["query", "key", "value", "dense"], ["dense"]),
    "decoder": (LlamaModel, DECODER, ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"], ["down_proj"]),
}


@pytest.mark.parametrize("end_to_end", [False, True], ids=["padded", "end to end"])
@pytest.mark.parametrize("checkpointing", ["none", "reentrant", "non-reentrant"])
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_a_batchs_records_have_the_gradients_that_they_have_alone_under_both_kinds_of_checkpointing(
    kind: Literal["encoder", "decoder"], checkpointing: str, end_to_end: bool
) -> None:
    torch.manual_seed(3)
    maker, config, targets, inputs = MODELS[kind]
    adapter = IA3Config(target_modules=targets, feedforward_modules=inputs)
    model = shaken(get_peft_model(maker(copy.deepcopy(config)), adapter).double())  # type: ignore[arg-type]
    assert from_unpadded(model, checkpointing, end_to_end=end_to_end) < 1e-12
