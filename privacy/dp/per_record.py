"""Compute per-record gradients of a model: by fused operations if they cover the whole model, else by Opacus' hooks.

Both fill ``grad_sample`` of each trained tensor, (n, *tensor.shape), in the backward pass of a sum of losses; clipping,
noise and steps read ``grad_sample``. A layer's ``forward`` is replaced on the instance and restored afterwards, so the
model's classes and the names in its state dict stay those of PEFT. An adapter family without a fused operation needs no
change here: Opacus' hooks serve it.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from opacus import GradSampleModule
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from privacy.dp import core, ia3, lora
from privacy.dp.lora import trained_linear
from shared.errors import PrivacyError
from shared.models.batch_layout import layout_of


class Fused(Protocol):
    """Interface of the module with an adapter family's fused operation, such as ``privacy.dp.lora``."""

    @property
    def LAYER(self) -> type:
        """Return PEFT's base class of the family's layers."""

    @property
    def PLAIN(self) -> type:
        """Return PEFT's class for a plain linear layer; another class may compute something else."""

    def covers(self, layer: Any) -> bool:
        """Return whether the operation gives the same result as a layer with one adapter."""

    def holders(self, layer: Any) -> tuple[Any, ...]:
        """Return the modules that hold the layer's trained tensors."""

    def forward(self, layer: Any, per_record: bool, x: torch.Tensor) -> torch.Tensor:
        """Compute the forward pass of a layer, with per-record gradients or with summed gradients."""


FUSED: tuple[Fused, ...] = (lora, core, ia3)


@dataclass(frozen=True)
class Cover:
    """Layers that the fused operations compute, heads among them, and names of trained tensors that they leave out."""

    adapted: tuple[tuple[Any, Fused], ...]
    heads: tuple[nn.Linear, ...]
    missing: tuple[str, ...]


@contextmanager
def per_record_gradients(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the model so that the backward pass of a sum of losses fills ``grad_sample``; undo all changes on exit.

    Run one backward pass for each micro-batch, and use its gradients before the next pass; otherwise they add up.

    Parameters
    ----------
    model
        The model; its layers are changed in place inside the block.

    Raises
    ------
    PrivacyError
        A trained tensor sits in a layer that neither the fused operations nor Opacus' hooks cover.
    """
    cover = cover_of(model)
    try:
        with _hooked(model, cover.missing) if cover.missing else _replaced(cover, per_record=True):
            yield model
    finally:
        for parameter in model.parameters():
            _remove_attributes(parameter, "grad_sample", "summed_grad", "_forward_counter", "_current_grad_sample")
            parameter.grad = None


@contextmanager
def fused(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the model with fused adapted layers, for training without privacy: gradients go to ``grad`` as usual."""
    with _replaced(cover_of(model), per_record=False):
        yield model


def cover_of(model: nn.Module) -> Cover:
    """Find the layers of a model that the fused operations can compute."""
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    adapted = tuple((layer, operation) for layer in layers if (operation := _operation_for(layer)))
    inside = {id(module) for layer in layers for module in layer.modules()}
    heads = tuple(m for m in model.modules() if type(m) is nn.Linear and id(m) not in inside and _trains(m))
    covered = {id(m) for m in heads} | {id(m) for layer, operation in adapted for m in operation.holders(layer)}
    others = (module for module in model.modules() if id(module) not in covered)
    loose = {id(p) for module in others for p in module.parameters(recurse=False)}  # shared tensors too
    missing = tuple(name for name, p in model.named_parameters() if p.requires_grad and id(p) in loose)
    return Cover(adapted, heads, missing)


def _operation_for(layer: Any) -> Fused | None:
    """Return the operation that computes a layer of PEFT: one active adapter of its family, on a frozen base layer."""
    if len(layer.active_adapters) != 1 or layer.merged or layer.disable_adapters or _trains(layer.base_layer):
        return None
    known = (each for each in FUSED if isinstance(layer, each.LAYER))
    fitting = (each for each in known if type(layer) is each.PLAIN or _is_quantised(layer, each))
    return next((each for each in fitting if each.covers(layer)), None)


def _is_quantised(layer: Any, operation: Fused) -> bool:
    """Return whether a layer has a bitsandbytes base: PEFT keeps these classes in the module ``bnb`` of the family."""
    return type(layer).__module__ == f"{operation.LAYER.__module__.rpartition('.')[0]}.bnb"


def _trains(module: nn.Module) -> bool:
    return any(p.requires_grad for p in module.parameters())


@contextmanager
def _replaced(cover: Cover, *, per_record: bool) -> Iterator[None]:
    """Replace ``forward`` of the covered layers inside the block."""
    heads = cover.heads if per_record else ()
    try:
        for layer, operation in cover.adapted:
            layer.forward = partial(operation.forward, layer, per_record)
        for head in heads:
            head.forward = partial(_trained_forward, head)  # type: ignore[method-assign]
        yield
    finally:
        for module in (*(layer for layer, _ in cover.adapted), *heads):
            vars(module).pop("forward", None)


def _trained_forward(head: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    return trained_linear(x, head.weight, head.bias, layout_of(head, x))


@contextmanager
def _hooked(model: nn.Module, missing: tuple[str, ...]) -> Iterator[None]:
    """Put Opacus' hooks on the whole model inside the block."""
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
            _remove_attributes(module, "activations", "max_batch_len")  # after a failed step they hold records


def _refuse_what_hooks_miss(model: nn.Module, missing: tuple[str, ...]) -> None:
    """Refuse layers for which Opacus' hooks fail: they skip tensors in containers silently, and break on LoRA's variants."""
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer) and module.lora_variant:
            kinds = ", ".join(sorted({type(variant).__name__ for variant in module.lora_variant.values()}))
            raise PrivacyError(f"{name}: per-record gradients of {kinds} cannot be computed; adapt it with plain LoRA")
        if isinstance(module, nn.ParameterDict | nn.ParameterList) and _trains(module):
            raise PrivacyError(
                f"{name}: per-record gradients of its trained tensors cannot be computed (such as an embedding's adapter); "
                f"adapt linear layers only; not covered: {', '.join(missing[:3])}"
            )


def _remove_attributes(owner: nn.Parameter | nn.Module, *names: str) -> None:
    for name in names:
        vars(owner).pop(name, None)
