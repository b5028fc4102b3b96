"""A layer with a trained core against PEFT's own forward pass, record by record."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from record_by_record import DECODER, ENCODER, TOLERANCE, Stack, distance, from_unpadded, looped, losses, per_record, trained
from silence import silence
from torch import nn
from transformers import BertModel, LlamaModel

from privacy.dp.engine import make_private
from privacy.dp.per_record import cover_of, fused
from privacy.dp.plan import PrivacyPlan
from shared.adapters import core
from shared.config.adapter import AdapterSection


def with_core(base: nn.Module, rank: int, dtype: torch.dtype, targets: list[str], **config: Any) -> Any:
    """Return a model in training mode whose cores are drawn around 0."""
    made = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, **config)
    model: Any = get_peft_model(base, made)  # type: ignore[arg-type]
    core.start(model, AdapterSection(family="core", rank=rank), seed=3)
    for factor in core.cores(model).values():
        nn.init.normal_(factor.core.weight, std=0.5)
    return model.to(dtype).train()


def stacked(rank: int, width: int, hidden: int, dtype: torch.dtype) -> Any:
    return with_core(Stack(width, hidden), rank, dtype, ["first", "second"], modules_to_save=["head"])


SHAPES: dict[str, Any] = {
    "rank": st.integers(1, 9),
    "width": st.integers(1, 20),
    "hidden": st.integers(1, 20),
    "records": st.integers(1, 5),
    "positions": st.sampled_from([(), (1,), (3,), (40,), (2, 9)]),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_each_records_gradient_is_the_one_it_has_alone(dtype: torch.dtype, data: st.DataObject) -> None:
    drawn = data.draw(st.fixed_dictionaries(SHAPES))
    model = stacked(drawn["rank"], drawn["width"], drawn["hidden"], dtype)
    x = torch.randn(drawn["records"], *drawn["positions"], drawn["width"], dtype=dtype)
    assert not cover_of(model).missing
    assert [name for name in trained(model) if "head" not in name] == [f"{name}.core.weight" for name in core.cores(model)]
    expected = looped(model, lambda i: losses(model, x[i : i + 1]).sum(), drawn["records"])
    assert distance(per_record(model, lambda: losses(model, x)), expected) < TOLERANCE[dtype]


def test_without_privacy_the_gradients_are_those_of_the_plain_layers() -> None:
    model, x = stacked(4, 7, 5, torch.float64), torch.randn(3, 6, 7, dtype=torch.float64, requires_grad=True)
    wanted = [*trained(model).values(), x]
    expected = torch.autograd.grad(losses(model, x).sum(), wanted)
    with fused(model):
        found = torch.autograd.grad(losses(model, x).sum(), wanted)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("fails_to_cover", [False, True], ids=["fused", "opacus"])
def test_a_step_is_the_sum_of_clipped_records(fails_to_cover: bool) -> None:
    """Also where another trained layer leaves all gradients to Opacus' hooks."""
    model, x, bound = stacked(3, 6, 5, torch.float32), torch.randn(4, 5, 6), 0.3
    if fails_to_cover:
        norm = model.base_model.model.norm = nn.LayerNorm(6)
        inner = model.base_model.model.second
        inner.register_forward_hook(lambda layer, given, out: norm(out))
    assert bool(cover_of(model).missing) == fails_to_cover
    gradients = looped(model, lambda i: losses(model, x[i : i + 1]).sum(), 4)
    whole = torch.stack([g.flatten(1).norm(dim=1) for g in gradients.values()]).norm(dim=0)
    factor = (bound / (whole + 1e-6)).clamp(max=1)
    before = {name: p.detach().clone() for name, p in trained(model).items()}
    plan = PrivacyPlan(0.1, 1.3, bound, 4, 2, 1e-4, 170)
    with pytest.MonkeyPatch.context() as patch:
        silence(patch)
        with make_private(model, torch.optim.SGD(trained(model).values(), lr=1.0), plan, 1.0) as (lent, step):
            losses(lent, x).sum().backward()
            step.accumulate()
            step.finish()
    for name, parameter in trained(model).items():
        expected = torch.einsum("i,i...->...", factor, gradients[name]) / plan.expected_batch
        torch.testing.assert_close(before[name] - parameter.detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("end_to_end", [False, True], ids=["padded", "end to end"])
@pytest.mark.parametrize(
    ("maker", "config", "targets"),
    [(BertModel, ENCODER, ["query", "value"]), (LlamaModel, DECODER, ["q_proj", "v_proj"])],
    ids=["encoder", "decoder"],
)
def test_padding_and_neighbours_change_no_records_gradient(
    maker: Any, config: Any, targets: list[str], end_to_end: bool
) -> None:
    config = copy.deepcopy(config)
    if end_to_end:
        config._attn_implementation = "sdpa"
    model = with_core(maker(config), 5, torch.float64, targets)
    assert from_unpadded(model, "none", end_to_end=end_to_end) < 1e-10
