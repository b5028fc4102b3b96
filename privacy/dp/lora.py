"""Compute a LoRA layer as one autograd operation with per-record gradients.

``y = x W' + b + s drop(x) A' B'`` with a frozen base weight W. Shapes: x (n, ..., d_in), W (d_out, d_in), A (r, d_in),
B (d_out, r); n records of t positions, T = n t, or records end to end, x (1, T, d_in). The batch's gradient of B is one
product of (r, T) and (T, d_out); cut at the borders of the records it is n products of (r, t) and (t, d_out), the same
number of operations. So per-record gradients only cost the memory that stores them; docs/engine.md has the counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear, LoraLayer
from torch import nn

from privacy.dp.gradients import gradients_of, store, sums
from shared.models.batch_layout import Layout, layout_of

LAYER = LoraLayer
PLAIN = Linear


def covers(layer: Any) -> bool:
    """Return whether the operation gives the same result as this layer of PEFT: LoRA without variants such as DoRA."""
    return not layer.lora_variant and all(type(f) is nn.Linear and f.bias is None for f in holders(layer))


def holders(layer: Any) -> tuple[Any, Any]:
    """Return the modules that hold A and B."""
    name = layer.active_adapters[0]
    return layer.lora_A[name], layer.lora_B[name]


def forward(layer: Any, per_record: bool, x: torch.Tensor) -> torch.Tensor:
    """Compute the forward pass of PEFT's layer, with its present scale and dropout."""
    a, b = holders(layer)
    name = layer.active_adapters[0]
    dropout = layer.lora_dropout[name]
    rate = dropout.p if isinstance(dropout, nn.Dropout) and dropout.training else 0.0
    layout = layout_of(layer, x) if per_record else None
    adapter = Adapter(a.weight, b.weight, float(layer.scaling[name]), rate, layout)
    if type(layer.base_layer) is nn.Linear:
        return adapted_linear(x, layer.base_layer, adapter)
    return add_adapter(layer.base_layer(x), x, adapter)


@dataclass(frozen=True)
class Adapter:
    """The factors of one LoRA layer, its scale alpha / r and its present dropout rate (0 in evaluation).

    ``layout`` maps rows to the n records. If given, the backward pass stores each record's gradient in ``grad_sample`` of
    each factor, (n, *factor.shape), or as two factors if that is cheaper; if None, the sum goes to ``grad``.
    """

    a: nn.Parameter
    b: nn.Parameter
    scale: float
    dropout: float
    layout: Layout | None


def adapted_linear(x: torch.Tensor, base: nn.Linear, adapter: Adapter) -> torch.Tensor:
    """Compute a frozen linear layer with its adapter in one operation, (n, ..., d_in) to (n, ..., d_out).

    It computes in autocast's dtype if autocast is on, else in the dtype of ``x``; the factors keep their own dtype.

    Parameters
    ----------
    x
        Input of the layer, (n, ..., d_in).
    base
        The frozen layer, W (d_out, d_in).
    adapter
        The LoRA layer on it.
    """
    out: torch.Tensor = _AdaptedLinear.apply(x, base.weight, base.bias, adapter.a, adapter.b, adapter)  # type: ignore[no-untyped-call]
    return out


def add_adapter(out: torch.Tensor, x: torch.Tensor, adapter: Adapter) -> torch.Tensor:
    """Return ``out + s drop(x) A' B'`` for the output of any frozen base layer, quantised layers included."""
    total: torch.Tensor = _Branch.apply(out, x, adapter.a, adapter.b, adapter)  # type: ignore[no-untyped-call]
    return total


def trained_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, layout: Layout) -> torch.Tensor:
    """Compute a linear layer that is itself trained, such as a classification head, with per-record gradients.

    Parameters
    ----------
    x
        Input of the layer, (n, ..., d_in).
    weight, bias
        The trained parameters, (d_out, d_in) and (d_out,) or None; both get ``grad_sample``.
    layout
        Maps rows to the n records.
    """
    out: torch.Tensor = _TrainedLinear.apply(x, weight, bias, layout)  # type: ignore[no-untyped-call]
    return out


class _AdaptedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        adapter: Adapter,
    ) -> torch.Tensor:
        dtype = _compute_dtype(x)
        rows = x.reshape(-1, x.shape[-1]).to(dtype)  # (T, d_in)
        low = None if bias is None else bias.to(dtype)
        ctx.merged = _merge_is_cheaper(rows, weight, adapter)
        kept, hidden = _project(rows, a, adapter)
        if ctx.merged:
            out = F.linear(rows, _merged(weight, a, b, adapter.scale, dtype), low)
        else:
            out = F.linear(rows, weight.to(dtype), low).addmm_(hidden, b.to(dtype).t(), alpha=adapter.scale)
        ctx.adapter, ctx.shape, ctx.dtype = adapter, x.shape, x.dtype
        ctx.save_for_backward(rows if a.requires_grad else None, kept, hidden if b.requires_grad else None, weight, a, b)
        return _shaped(out, (*x.shape[:-1], out.shape[-1]))

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, kept, hidden, weight, a, b = ctx.saved_tensors
        grad = upstream.reshape(-1, upstream.shape[-1])  # (T, d_out)
        wants_x = ctx.needs_input_grad[0]
        back = None
        if a.requires_grad or (wants_x and not ctx.merged):
            back = (grad @ b.to(grad.dtype)).mul_(ctx.adapter.scale)  # (T, r)
        factors = _factor_gradients(ctx.adapter, rows, kept, hidden, back, grad)
        if not wants_x:
            return None, None, None, *factors, None
        if ctx.merged:
            dx = grad @ _merged(weight, a, b, ctx.adapter.scale, grad.dtype)
        else:
            dx = _add_back(grad @ weight.to(grad.dtype), back, a, kept, ctx.adapter)
        return dx.view(ctx.shape).to(ctx.dtype), None, None, *factors, None


class _Branch(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, out: torch.Tensor, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, adapter: Adapter
    ) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1]).to(out.dtype)
        kept, hidden = _project(rows, a, adapter)
        flat = out.reshape(-1, out.shape[-1])
        total = torch.addmm(flat, hidden, b.to(out.dtype).t(), alpha=adapter.scale)
        ctx.adapter, ctx.shape, ctx.dtype = adapter, x.shape, x.dtype
        ctx.save_for_backward(rows if a.requires_grad else None, kept, hidden if b.requires_grad else None, a, b)
        return _shaped(total, out.shape)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, kept, hidden, a, b = ctx.saved_tensors
        grad = upstream.reshape(-1, upstream.shape[-1])
        wants_x = ctx.needs_input_grad[1]
        back = (grad @ b.to(grad.dtype)).mul_(ctx.adapter.scale) if a.requires_grad or wants_x else None
        factors = _factor_gradients(ctx.adapter, rows, kept, hidden, back, grad)
        dx = None
        if wants_x:
            zero = grad.new_zeros(len(grad), a.shape[1])
            dx = _add_back(zero, back, a, kept, ctx.adapter).view(ctx.shape).to(ctx.dtype)
        return upstream if ctx.needs_input_grad[0] else None, dx, *factors, None


class _TrainedLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, layout: Layout) -> torch.Tensor:
        dtype = _compute_dtype(x)
        ctx.weight, ctx.bias, ctx.dtype = weight, bias, x.dtype  # the parameters themselves, which get the gradients
        ctx.layout = layout
        rows = x.to(dtype)
        ctx.save_for_backward(rows, weight)
        return F.linear(rows, weight.to(dtype), None if bias is None else bias.to(dtype))

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, None, None, None]:
        rows, weight = ctx.saved_tensors
        if weight.requires_grad:
            store(ctx.weight, gradients_of(upstream, rows, ctx.layout))
        if ctx.bias is not None and ctx.bias.requires_grad:
            store(ctx.bias, sums(upstream, ctx.layout))
        dx = (upstream @ weight.to(upstream.dtype)).to(ctx.dtype) if ctx.needs_input_grad[0] else None
        return dx, None, None, None


def _shaped(rows: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Return rows in another shape, for autograd no view: some models (Longformer) change a layer's output in place."""
    shaped: torch.Tensor = torch.ops.aten._unsafe_view(rows, list(shape))
    return shaped


def _compute_dtype(x: torch.Tensor) -> torch.dtype:
    if torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64:
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype


def _project(rows: torch.Tensor, a: torch.Tensor, adapter: Adapter) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Return which inputs dropout keeps, (T, d_in), and the adapter's inner activations ``drop(x) A'``, (T, r)."""
    if not adapter.dropout:
        return None, rows @ a.to(rows.dtype).t()
    mask = F.dropout(torch.ones_like(rows), adapter.dropout)  # 0 or 1 / (1 - rate), as PEFT's layer draws it
    return mask.bool(), (rows * mask) @ a.to(rows.dtype).t()


def _merge_is_cheaper(rows: torch.Tensor, weight: torch.Tensor, adapter: Adapter) -> bool:
    """Return whether to compute ``W + s B A`` first, which takes d_in d_out r operations instead of T r d_out.

    Never in 16 bits, where small updates would be rounded away, and never under dropout, which only the adapter applies.
    """
    wide = rows.dtype in (torch.float32, torch.float64) and weight.dtype == rows.dtype
    return wide and not adapter.dropout and weight.shape[1] < len(rows)


def _merged(weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scale: float, dtype: torch.dtype) -> torch.Tensor:
    return torch.addmm(weight.to(dtype), b.to(dtype), a.to(dtype), alpha=scale)


def _add_back(
    dx: torch.Tensor, back: torch.Tensor | None, a: torch.Tensor, kept: torch.Tensor | None, adapter: Adapter
) -> torch.Tensor:
    """Add the adapter's share of the gradient of x to ``dx``, (T, d_in), in place."""
    assert back is not None  # noqa: S101  always computed if x needs a gradient
    if kept is None:
        return dx.addmm_(back, a.to(dx.dtype))
    return dx.addcmul_(back @ a.to(dx.dtype), kept.to(dx.dtype), value=1 / (1 - adapter.dropout))


def _factor_gradients(
    adapter: Adapter,
    rows: torch.Tensor | None,
    kept: torch.Tensor | None,
    hidden: torch.Tensor | None,
    back: torch.Tensor | None,
    grad: torch.Tensor,
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Return the gradients of A (r, d_in) and B (d_out, r); with a layout, store them per record and return None."""
    dropped = rows if rows is None or kept is None else rows * kept.to(rows.dtype).div_(1 - adapter.dropout)
    scaled = None if hidden is None else hidden * adapter.scale  # (T, r), the smallest factor of B's gradient
    products = ((adapter.a, back, dropped), (adapter.b, grad, scaled))
    if adapter.layout is None:
        return tuple(
            None if left is None or right is None else (left.t() @ right).to(parameter.dtype)
            for parameter, left, right in products
        )  # type: ignore[return-value]
    for parameter, left, right in products:
        if left is not None and right is not None:
            store(parameter, gradients_of(left, right, adapter.layout))
    return None, None
