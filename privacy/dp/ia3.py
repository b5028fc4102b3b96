"""Compute an IA3 layer as one autograd operation with per-record gradients.

``y = l * x`` with x (n, ..., d) and d learnt numbers l, on the output or the input of a frozen layer (Liu et al. 2022,
arXiv 2205.05638). The gradient of l is the sum over all positions of dy * x. Summing within each record takes the same
number of operations, so per-record gradients only cost the memory of d numbers a record.
"""

from typing import Any

import torch
from peft.tuners.ia3 import IA3Layer, Linear
from torch import nn

from privacy.dp.gradients import store, sums
from shared.models.batch_layout import Layout, layout_of

LAYER = IA3Layer
PLAIN = Linear


def covers(layer: Any) -> bool:
    """Return whether the operation gives the same result as this layer of PEFT."""
    return len(layer.ia3_l) == 1


def holders(layer: Any) -> tuple[Any, ...]:
    """Return the modules that hold the layer's trained tensors."""
    return (layer.ia3_l,)


def forward(layer: Any, per_record: bool, x: torch.Tensor) -> torch.Tensor:
    """Compute the forward pass of PEFT's layer, on any base layer."""
    scale = layer.ia3_l[layer.active_adapters[0]]
    layout = layout_of(layer, x) if per_record else None
    if layer.is_feedforward:
        return layer.base_layer(scaled(x, scale, layout))  # type: ignore[no-any-return]
    return scaled(layer.base_layer(x), scale, layout)


def scaled(x: torch.Tensor, scale: nn.Parameter, layout: Layout | None) -> torch.Tensor:
    """Compute ``l * x`` in the wider of both dtypes, and return it in the dtype of ``x``.

    Parameters
    ----------
    x
        The hidden states, (n, ..., d).
    scale
        The learnt factors l, d numbers of any shape; float32, because near 1 bfloat16 moves by steps of 1/128.
    layout
        Maps rows to the n records. If given, the backward pass stores each record's gradient in ``scale.grad_sample``,
        (n, *scale.shape); if None, the sum goes to ``grad``.
    """
    out: torch.Tensor = _Scaled.apply(x, scale, layout)  # type: ignore[no-untyped-call]
    return out


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: torch.Tensor, layout: Layout | None) -> torch.Tensor:
        ctx.scale, ctx.layout = scale, layout  # the parameter itself, which gets the gradients
        ctx.save_for_backward(x if scale.requires_grad else None, scale)
        return (x * scale.flatten()).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
        x, scale = ctx.saved_tensors
        dx = (upstream * scale.flatten()).to(upstream.dtype) if ctx.needs_input_grad[0] else None
        if x is None:
            return dx, None, None
        shares = (upstream.to(scale.dtype) * x).flatten(0, -2)  # (T, d): the gradient's terms, one row a position
        if ctx.layout is None:
            return dx, shares.sum(dim=0).view(scale.shape), None
        store(ctx.scale, sums(shares, ctx.layout).view(-1, *scale.shape))
        return dx, None, None
