"""Compute a layer of the core family with per-record gradients: ``y = f(x) + s F R A x``, of which only R is trained.

Shapes: A (r, d_in), R (r, r), F (d_out, r); n records of t positions. The gradient of R is one product of (r, t) and (t, r)
for each record, of the inner activations ``A x`` and of what comes back through F. `privacy.dp.lora.trained_linear`
computes R's part; the rest is frozen and left to autograd.
"""

from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear, LoraLayer
from torch import nn

from privacy.dp.lora import trained_linear
from shared.adapters.core import CoreFactor
from shared.models.batch_layout import layout_of

LAYER = LoraLayer
PLAIN = Linear


def covers(layer: Any) -> bool:
    """Return whether the operation gives the same result as this layer of PEFT: a core between frozen factors."""
    name = layer.active_adapters[0]
    a, b = layer.lora_A[name], layer.lora_B[name]
    frozen = type(a) is nn.Linear and a.bias is None and not a.weight.requires_grad
    return frozen and isinstance(b, CoreFactor) and not layer.lora_variant


def holders(layer: Any) -> tuple[Any, ...]:
    """Return the module that holds R."""
    return (layer.lora_B[layer.active_adapters[0]].core,)


def forward(layer: Any, per_record: bool, x: torch.Tensor) -> torch.Tensor:
    """Compute the forward pass of PEFT's layer, with its present scale and dropout, on any base layer."""
    name = layer.active_adapters[0]
    a, b = layer.lora_A[name], layer.lora_B[name]
    hidden = F.linear(layer.lora_dropout[name](x), a.weight.to(x.dtype))  # (n, ..., r)
    if per_record:
        inner = trained_linear(hidden, b.core.weight, b.core.bias, layout_of(layer, x))
    else:
        inner = F.linear(hidden, b.core.weight.to(hidden.dtype))
    base: torch.Tensor = layer.base_layer(x)
    out: torch.Tensor = base + layer.scaling[name] * F.linear(inner, b.frame.to(inner.dtype)).to(base.dtype)
    return out
