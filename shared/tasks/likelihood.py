"""Compute the loss of tokens under a frozen vocabulary projection, without a tensor of all logits."""

from typing import Any

import torch
import torch.nn.functional as F

ROWS = 256  # positions computed at once: enough for a fast matrix product, and the tensor of logits stays small


def token_losses(states: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return ``-log softmax(states weight')[targets]`` in nats, (N,) float32, without keeping the logits.

    The forward pass computes the gradient of the states block by block while the block's logits are in memory, so N H
    numbers are kept instead of several times N V. Row n of that gradient belongs to loss n only; the backward pass
    multiplies the row by the weight of that loss.

    Parameters
    ----------
    states
        Hidden states that predict the targets, (N, H).
    weight
        The frozen vocabulary projection, (V, H).
    targets
        Token ids, (N,).
    """
    out: torch.Tensor = _TokenLosses.apply(states, weight, targets)  # type: ignore[no-untyped-call]
    return out


class _TokenLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        wanted = ctx.needs_input_grad[0]
        losses = torch.empty(len(states), dtype=torch.float32, device=states.device)
        gradients = torch.empty_like(states) if wanted else None
        for start in range(0, len(states), ROWS):
            part = slice(start, start + ROWS)
            logits = F.linear(states[part], weight).float()
            chosen = targets[part, None]
            total = logits.logsumexp(dim=1, keepdim=True)
            losses[part] = (total - logits.gather(1, chosen))[:, 0]
            if gradients is not None:
                shares = logits.sub_(total).exp_().scatter_add_(1, chosen, -torch.ones_like(total))  # softmax - 1[target]
                torch.mm(shares.to(weight.dtype), weight, out=gradients[part])
        ctx.save_for_backward(gradients)
        return losses

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, None, None]:
        (gradients,) = ctx.saved_tensors
        return None if gradients is None else gradients * upstream[:, None].to(gradients.dtype), None, None
