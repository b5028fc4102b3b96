"""Compute the loss of adversarial debiasing: a head learns each record's group, and the encoder learns to hide it."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from shared.config.adversary import NO_GROUP


def adversarial_losses(adversary: nn.Linear, pooled: torch.Tensor, groups: torch.Tensor, weight: float) -> torch.Tensor:
    """Return the adversary's cross-entropy of each record's group, (B,); 0 for a record without a group.

    The adversary gets the gradient of its loss; the encoder gets -``weight`` times that gradient (gradient reversal, Ganin
    et al. 2016, arXiv 1505.07818). Each record's loss depends on that record only, so the clip bounds the record's whole
    gradient, the adversary's part included.

    Parameters
    ----------
    adversary
        The head that predicts groups, (hidden) to (groups).
    pooled
        Embeddings of the records, (B, hidden).
    groups
        The number of each record's group, (B,), or ``NO_GROUP``.
    weight
        Factor of the reversed gradient.
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
