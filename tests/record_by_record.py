"""Compute per-record gradients with the engine and with a loop over single records, to compare them in tests."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from transformers import BertConfig, LlamaConfig

from privacy.dp.gradients import dense
from privacy.dp.per_record import per_record_gradients
from shared.models.packing import packed

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
ENCODER = BertConfig(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    initializer_range=0.2,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
DECODER = LlamaConfig(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    intermediate_size=24,
    initializer_range=0.2,
)


class Stack(nn.Module):
    """Two layers to be adapted, one of them without a bias, and a trained head."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, width, bias=False)
        self.head = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states = self.second(torch.tanh(self.first(x)))
        return self.head(states if states.dim() == 2 else states.flatten(1, -2).mean(dim=1))  # type: ignore[no-any-return]


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def losses(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return model(x).square().sum(dim=1).log1p()  # type: ignore[no-any-return]


def per_record(model: nn.Module, losses_of: Callable[[], torch.Tensor]) -> dict[str, torch.Tensor]:
    """Compute per-record gradients, (n, ...), with the engine in one backward pass."""
    with per_record_gradients(model):
        losses_of().sum().backward()
        return {name: dense(p.grad_sample).clone() for name, p in trained(model).items()}  # type: ignore[attr-defined]


def looped(model: nn.Module, loss_of: Callable[[int], torch.Tensor], records: int) -> dict[str, torch.Tensor]:
    """Compute per-record gradients, (n, ...), with one backward pass per record on the unchanged PEFT model."""
    parameters = trained(model)
    rows = [torch.autograd.grad(loss_of(i), list(parameters.values()), retain_graph=True) for i in range(records)]
    return {name: torch.stack([row[k] for row in rows]) for k, name in enumerate(parameters)}


def distance(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """Return the largest difference between two gradients of a record, relative to the gradient's norm."""
    assert {name: g.shape for name, g in found.items()} == {name: g.shape for name, g in expected.items()}
    flat, true = (torch.cat([g.flatten(1) for g in grads.values()], dim=1) for grads in (found, expected))
    return float(((flat - true).norm(dim=1) / true.norm(dim=1).clamp(min=1e-6)).max())


def token_losses(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    states = model(input_ids=ids, attention_mask=mask).last_hidden_state  # (n, t, d)
    weights = mask.unsqueeze(-1).to(states.dtype)
    mean = (states * weights).sum(dim=1) / weights.sum(dim=1)
    return (mean @ torch.linspace(0.5, 1.5, mean.shape[1], dtype=mean.dtype)).sin()  # type: ignore[no-any-return]


def from_unpadded(model: Any, checkpointing: str, *, end_to_end: bool) -> float:
    """Return the ``distance`` between a padded batch's gradients and those of the records without padding.

    ``checkpointing`` is none, reentrant or other; with ``end_to_end`` the model computes the batch in packed form.
    """
    lengths = [7, 11, 1, 7]
    ids = torch.randint(0, 50, (4, 11))
    mask = torch.tensor([[1] * length + [0] * (11 - length) for length in lengths])
    expected = looped(
        model, lambda i: token_losses(model, ids[i : i + 1, : lengths[i]], mask[i : i + 1, : lengths[i]]).sum(), 4
    )
    if checkpointing != "none":
        model.enable_input_require_grads()  # reentrant checkpointing needs an input with a gradient
        model.gradient_checkpointing_enable({"use_reentrant": checkpointing == "reentrant"})
    with packed(model.get_base_model(), lengths) if end_to_end else nullcontext():
        return distance(per_record(model, lambda: token_losses(model, ids, mask)), expected)
