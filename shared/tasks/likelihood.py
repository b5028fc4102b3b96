"""The negative log-likelihood of tokens under a frozen vocabulary projection, without a tensor of all its logits."""

from typing import Any

import torch
import torch.nn.functional as F

ROWS = 256  # positions at once: enough for the product to be fast, few enough for its logits to be forgotten soon


def token_losses(states: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """``-log softmax(states weight')[targets]`` in nats, (N,) float32; states (N, H), frozen weight (V, H), targets (N,).

    The gradient of the states is made in the forward pass, while a part of the logits is there, so that none is kept: N H
    numbers stay in place of several times N V, and the passes over them are gone. Each loss's gradient is its own row's,
    so a row's weight in the sum is put on in the backward pass. The same products are done as without it.
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
