"""Compute the loss of response tokens by a language model's own forward pass, without a tensor of all logits."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from shared.models.projection import logits_of, projection_trains, transformer_of
from shared.tasks.examples import Batch

ROWS = 256  # positions computed at once: enough for a fast matrix product, and the tensor of logits stays small


@dataclass(frozen=True)
class Responses:
    """The states of a batch that predict its N response tokens: one row a token, in the order of the records.

    Attributes
    ----------
    network
        The language model.
    output
        The output of its transformer for the batch.
    records, places
        The record of each token, and the position that predicts it, both (N,).
    targets
        The id of each token, (N,).
    size
        The number of records.
    """

    network: Any
    output: Any = field(repr=False)
    records: torch.Tensor = field(repr=False)
    places: torch.Tensor = field(repr=False)
    targets: torch.Tensor = field(repr=False)
    size: int

    @classmethod
    def of(cls, network: Any, batch: Batch) -> "Responses":
        """Run the transformer on a batch.

        Parameters
        ----------
        network
            A causal language model of transformers, with its adapter.
        batch
            B encoded records; their targets mark the response tokens.
        """
        output = transformer_of(network)(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
        records, places = batch.targets[:, 1:].nonzero(as_tuple=True)  # position t predicts token t + 1
        return cls(network, output, records, places, batch.ids[records, places + 1], len(batch.ids))

    def losses(self) -> torch.Tensor:
        """Return the negative log-likelihood of each response token in nats, (N,) float32."""
        if projection_trains(self.network):
            return F.cross_entropy(self.logits(), self.targets, reduction="none")
        states = self.output.last_hidden_state[self.records, self.places]  # (N, H)
        return token_losses(states, lambda rows: logits_of(self.network, self.output, rows[None])[0], self.targets)

    def logits(self) -> torch.Tensor:
        """Return the logits of each response token, (N, V) float32.

        Each record has a row of its own on the way, because a trained projection needs to know which states are whose.
        """
        counts = torch.bincount(self.records, minlength=self.size)
        number = torch.arange(len(self.records), device=self.records.device) - (counts.cumsum(0) - counts)[self.records]
        states = self.output.last_hidden_state
        padded = states.new_zeros(self.size, int(counts.max()), states.shape[2])
        padded = padded.index_put((self.records, number), states[self.records, self.places])
        return logits_of(self.network, self.output, padded)[self.records, number].float()

    def by_record(self, losses: torch.Tensor) -> torch.Tensor:
        """Return each record's sum of its tokens' losses, (B,), from losses (N,)."""
        return torch.zeros(self.size, device=losses.device).index_add(0, self.records, losses)


def token_losses(
    states: torch.Tensor, project: Callable[[torch.Tensor], torch.Tensor], targets: torch.Tensor
) -> torch.Tensor:
    """Return ``-log softmax(project(states))[targets]`` in nats, (N,) float32, without keeping the logits.

    The forward pass computes the gradient of the states block by block while the block's logits are in memory, so N H
    numbers are kept instead of several times N V. Row n of that gradient belongs to loss n only, because a projection works
    on each position by itself; the backward pass multiplies the row by the weight of that loss.

    Parameters
    ----------
    states
        Hidden states that predict the targets, (N, H).
    project
        The frozen vocabulary projection with all that the model does to its logits, (n, H) to (n, V).
    targets
        Token ids, (N,).
    """
    out: torch.Tensor = _TokenLosses.apply(states, project, targets)  # type: ignore[no-untyped-call]
    return out


class _TokenLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, project: Callable[[torch.Tensor], torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        wanted = ctx.needs_input_grad[0]
        losses = torch.empty(len(states), dtype=torch.float32, device=states.device)
        gradients = torch.empty_like(states) if wanted else None
        for start in range(0, len(states), ROWS):
            part = slice(start, start + ROWS)
            with torch.set_grad_enabled(wanted):
                block = states[part].detach().requires_grad_(wanted)
                each = F.cross_entropy(project(block).float(), targets[part], reduction="none")
            losses[part] = each.detach()
            if gradients is not None:
                (gradients[part],) = torch.autograd.grad(each, block, torch.ones_like(each))
        ctx.save_for_backward(gradients)
        return losses

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, None, None]:
        (gradients,) = ctx.saved_tensors
        return None if gradients is None else gradients * upstream[:, None].to(gradients.dtype), None, None
