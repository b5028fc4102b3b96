"""Who computes the per-record gradients of a model: the fused layers where they cover it, else Opacus' hooks.

Both fill ``grad_sample`` of each trained tensor, shape (n, *tensor.shape), in the backward pass of a sum of losses;
clipping, noise and steps follow from there. Layers are changed on the instance and given back, so that the model's
classes and the names in its state dict stay PEFT's own.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from opacus import GradSampleModule
from peft.tuners.ia3 import IA3Layer
from peft.tuners.ia3 import Linear as IA3Linear
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import LoraLayer
from torch import nn

from privacy.dp.ia3 import scaled
from privacy.dp.lora import Adapter, adapted_linear, add_adapter, trained_linear
from shared.errors import PrivacyError
from shared.models.batch_layout import layout_of

QUANTISED = ("peft.tuners.lora.bnb", "peft.tuners.ia3.bnb")  # on a bitsandbytes base; imported by PEFT where it is there


@dataclass(frozen=True)
class Cover:
    """Which layers the fused operations take over, and the names of trained tensors that they leave out."""

    adapted: tuple[Any, ...]
    heads: tuple[nn.Linear, ...]
    missing: tuple[str, ...]


@contextmanager
def per_record_gradients(model: nn.Module) -> Iterator[nn.Module]:
    """Lend the model so that a backward pass of a sum of losses fills ``grad_sample``; all is undone at the end.

    Call each backward pass once per micro-batch and take its gradients before the next: they would add up.

    Raises:
        PrivacyError: a trained tensor sits in a layer that neither the fused layers nor Opacus' hooks cover.
    """
    cover = cover_of(model)
    try:
        with _hooked(model, cover.missing) if cover.missing else _replaced(cover, per_record=True):
            yield model
    finally:
        for parameter in model.parameters():
            _take_off(parameter, "grad_sample", "summed_grad", "_forward_counter", "_current_grad_sample")
            parameter.grad = None


@contextmanager
def fused(model: nn.Module) -> Iterator[nn.Module]:
    """Lend the model with its adapted layers fused, for training without privacy: gradients go to ``grad``, as ever."""
    with _replaced(cover_of(model), per_record=False):
        yield model


def cover_of(model: nn.Module) -> Cover:
    """What the fused operations cover of a model."""
    layers = [module for module in model.modules() if isinstance(module, LoraLayer | IA3Layer)]
    adapted = tuple(layer for layer in layers if _is_fusable(layer))
    inside = {id(module) for layer in layers for module in layer.modules()}
    heads = tuple(m for m in model.modules() if type(m) is nn.Linear and id(m) not in inside and _trains(m))
    covered = {id(m) for m in heads} | {id(m) for layer in adapted for m in _holders(layer)}
    others = (module for module in model.modules() if id(module) not in covered)
    loose = {id(p) for module in others for p in module.parameters(recurse=False)}  # a tied tensor counts as loose
    missing = tuple(name for name, p in model.named_parameters() if p.requires_grad and id(p) in loose)
    return Cover(adapted, heads, missing)


def _is_fusable(layer: Any) -> bool:
    """Whether a PEFT layer is plain LoRA or IA3, with one adapter, on a frozen base; rank-stabilised scaling is a scale."""
    known = type(layer) in (LoraLinear, IA3Linear) or type(layer).__module__ in QUANTISED
    if not known or len(layer.active_adapters) != 1 or layer.merged or layer.disable_adapters or _trains(layer.base_layer):
        return False
    if isinstance(layer, IA3Layer):
        return len(layer.ia3_l) == 1
    return not layer.lora_variant and all(type(f) is nn.Linear and f.bias is None for f in _factors(layer))


def _holders(layer: Any) -> tuple[Any, ...]:
    """The modules that hold the trained tensors of a layer."""
    return (layer.ia3_l,) if isinstance(layer, IA3Layer) else _factors(layer)


def _factors(layer: Any) -> tuple[Any, Any]:
    """The modules of A and B."""
    name = layer.active_adapters[0]
    return layer.lora_A[name], layer.lora_B[name]


def _trains(module: nn.Module) -> bool:
    return any(p.requires_grad for p in module.parameters())


@contextmanager
def _replaced(cover: Cover, *, per_record: bool) -> Iterator[None]:
    """Give the covered layers another ``forward`` for a while."""
    heads = cover.heads if per_record else ()
    try:
        for layer in cover.adapted:
            forward = _scaled_forward if isinstance(layer, IA3Layer) else _adapted_forward
            layer.forward = partial(forward, layer, per_record)
        for head in heads:
            head.forward = partial(_trained_forward, head)  # type: ignore[method-assign]
        yield
    finally:
        for module in (*cover.adapted, *heads):
            vars(module).pop("forward", None)


def _scaled_forward(layer: Any, per_record: bool, x: torch.Tensor) -> torch.Tensor:
    """What PEFT's IA3 layer computes, on any base layer."""
    scale = layer.ia3_l[layer.active_adapters[0]]
    layout = layout_of(layer, x) if per_record else None
    if layer.is_feedforward:
        return layer.base_layer(scaled(x, scale, layout))  # type: ignore[no-any-return]
    return scaled(layer.base_layer(x), scale, layout)


def _adapted_forward(layer: Any, per_record: bool, x: torch.Tensor) -> torch.Tensor:
    """What PEFT's LoRA layer computes, from its present scale and dropout."""
    a, b = _factors(layer)
    name = layer.active_adapters[0]
    dropout = layer.lora_dropout[name]
    rate = dropout.p if isinstance(dropout, nn.Dropout) and dropout.training else 0.0
    layout = layout_of(layer, x) if per_record else None
    adapter = Adapter(a.weight, b.weight, float(layer.scaling[name]), rate, layout)
    if type(layer.base_layer) is nn.Linear:
        return adapted_linear(x, layer.base_layer, adapter)
    return add_adapter(layer.base_layer(x), x, adapter)


def _trained_forward(head: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    return trained_linear(x, head.weight, head.bias, layout_of(head, x))


@contextmanager
def _hooked(model: nn.Module, missing: tuple[str, ...]) -> Iterator[None]:
    """Opacus' hooks on the whole model."""
    _refuse_what_hooks_miss(model, missing)
    wrapped = GradSampleModule(model, batch_first=True, loss_reduction="sum", strict=True)
    try:
        with warnings.catch_warnings():
            # The first adapted layer has no input that needs a gradient; its hook fires all the same.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            yield
    finally:
        wrapped.remove_hooks()
        for module in model.modules():
            _take_off(module, "activations", "max_batch_len")  # after a failed step they hold records


def _refuse_what_hooks_miss(model: nn.Module, missing: tuple[str, ...]) -> None:
    """Opacus' hooks pass over tensors in containers without a word, and break on the variants of LoRA."""
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer) and module.lora_variant:
            kinds = ", ".join(sorted({type(variant).__name__ for variant in module.lora_variant.values()}))
            raise PrivacyError(f"{name}: per-record gradients of {kinds} cannot be had; adapt it with plain LoRA")
        if isinstance(module, nn.ParameterDict | nn.ParameterList) and _trains(module):
            raise PrivacyError(
                f"{name}: per-record gradients of its trained tensors cannot be had (an embedding's adapter, say); "
                f"adapt linear layers only; not covered: {', '.join(missing[:3])}"
            )


def _take_off(owner: nn.Parameter | nn.Module, *names: str) -> None:
    for name in names:
        vars(owner).pop(name, None)
