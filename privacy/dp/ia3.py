"""The factors of an IA3 layer as one operation, whose backward pass leaves each record's own gradient.

``y = l * x`` with x (n, ..., d) and a learnt l of d numbers, on what a frozen layer gives or on what it is given (Liu et
al. 2022, arXiv 2205.05638). The gradient of l is the sum over positions of dy * x; cut at the records' borders it is as
many products and sums, so a record's gradient costs nothing but the d numbers that it is written to.
"""

from typing import Any

import torch
from torch import nn

from privacy.dp.gradients import keep, sums
from shared.models.batch_layout import Layout


def scaled(x: torch.Tensor, scale: nn.Parameter, layout: Layout | None) -> torch.Tensor:
    """``l * x`` in the dtype of ``x``, computed in that of l where it is wider; (n, ..., d) and d numbers to (n, ..., d).

    ``layout`` is where the n records lie. With it the gradients are left in ``grad_sample`` of l, (n, *l.shape); without
    it they go into ``grad``, summed.
    In bfloat16 l itself would not do: near 1 it moves by steps of 1/128.
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
        shares = (upstream.to(scale.dtype) * x).flatten(0, -2)  # (T, d)
        if ctx.layout is None:
            return dx, shares.sum(dim=0).view(scale.shape), None
        keep(ctx.scale, sums(shares, ctx.layout).view(-1, *scale.shape))
        return dx, None, None
