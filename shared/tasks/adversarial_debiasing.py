"""Hiding a record's group in its embedding: an adversary learns to read it there, and its gradient is turned round."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from shared.config.adversary import NO_GROUP


def hiding_losses(adversary: nn.Linear, pooled: torch.Tensor, groups: torch.Tensor, weight: float) -> torch.Tensor:
    """The adversary's cross-entropy of each record's group, (B,), from embeddings (B, hidden); 0 for a record of none.

    The adversary's own gradient is that of its loss; what goes on into the encoder is -``weight`` times it (gradient
    reversal, Ganin et al. 2016, arXiv 1505.07818). Each record's loss is its own, so its whole gradient, the adversary's
    part with it, is clipped as one.
    """
    turned: torch.Tensor = _Reversal.apply(pooled, weight)  # type: ignore[no-untyped-call]
    return F.cross_entropy(adversary(turned), groups, ignore_index=NO_GROUP, reduction="none")


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: float) -> torch.Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        return -ctx.weight * upstream, None
