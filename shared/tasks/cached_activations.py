"""The frozen lower part of a model, run once for each example: what lies below the adapter never changes."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from shared.models.packing import place_in
from shared.tasks.base import Batch, Example, Learner

WORTHWHILE = 1  # expected visits of an example, from which on the states pay for their making
MEMORY_SHARE = 1 / 8  # of the machine's memory, that they may take


@dataclass(frozen=True)
class Stack:
    """Where a model keeps its embeddings and its layers; ``first`` is the lowest layer with an adapter."""

    network: Any
    owner: Any
    name: str
    embeddings: Any
    first: int

    @property
    def layers(self) -> nn.ModuleList:
        """The layers that run now."""
        return getattr(self.owner, self.name)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class FrozenPrefix:
    """Each example's states, (T, hidden), at the input of the lowest adapted layer.

    They depend on the example alone, up to rounding: nothing below is trained and the base model's dropout is off. They
    are made in one order whatever is sampled, so that a run without privacy stays the same bit for bit.
    """

    stack: Stack
    states: tuple[torch.Tensor, ...] = field(repr=False)

    @classmethod
    def build(cls, learner: Learner, examples: Sequence[Example], visits: float, max_tokens: int) -> "FrozenPrefix | None":
        """The states of all examples; None where there is no such part, or it would not pay, or not fit in memory.

        ``visits`` is how often an example is expected to go through the model.
        """
        stack = _stack(learner)
        if stack is None or not stack.first or visits < WORTHWHILE or not _fits(learner, examples):
            return None
        states: list[torch.Tensor] = [torch.empty(0)] * len(examples)
        for chosen, batch in learner.batches(examples, range(len(examples)), max_tokens):
            below = _below(stack, batch.ids, batch.mask)  # (B, T, hidden)
            for row, index in enumerate(chosen):
                states[index] = below[row, : len(examples[index])].clone()
        return cls(stack, tuple(states))

    @contextmanager
    def replayed(self, indices: Sequence[int]) -> Iterator[None]:
        """Let the model start at the lowest adapted layer, from the states of these examples, as it is given them now."""
        given = nn.utils.rnn.pad_sequence([self.states[i] for i in indices], batch_first=True)  # (B, T, hidden)
        place = place_in(self.stack.network)
        given = given if place is None else place.pack(given)[None]
        layers = self.stack.layers
        try:
            setattr(self.stack.owner, self.stack.name, layers[self.stack.first :])
            self.stack.embeddings.forward = lambda *_, **__: given
            yield
        finally:
            setattr(self.stack.owner, self.stack.name, layers)
            vars(self.stack.embeddings).pop("forward", None)


def batches(
    learner: Learner, examples: Sequence[Example], prefix: FrozenPrefix | None, max_tokens: int
) -> Iterator[tuple[list[int], Batch]]:
    """All examples in micro-batches; with a ``prefix``, the model starts from its states until the next one is asked for."""
    for chosen, batch in learner.batches(examples, range(len(examples)), max_tokens):
        with prefix.replayed(chosen) if prefix else nullcontext():
            yield chosen, batch


class _ReachedError(Exception):
    """The forward pass is at the lowest adapted layer; there is no need to go on."""


def _stack(learner: Learner) -> Stack | None:
    """The layers of the model kinds that are known to be one plain stack."""
    network: Any = learner.base.network.base_model
    places = {"bert": ("encoder", "layer", "embeddings"), "llama": ("", "layers", "embed_tokens")}
    if network.config.model_type not in places:
        return None
    owner, name, embeddings = places[network.config.model_type]
    holder = getattr(network, owner) if owner else network
    layers = getattr(holder, name)
    adapted = [any(isinstance(part, BaseTunerLayer) for part in layer.modules()) for layer in layers]
    first = adapted.index(True) if any(adapted) else len(layers)
    return Stack(network, holder, name, getattr(network, embeddings), first)


def _fits(learner: Learner, examples: Sequence[Example]) -> bool:
    width = learner.base.network.config.hidden_size * learner.base.dtype.itemsize
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return bool(sum(len(example) for example in examples) * width <= MEMORY_SHARE * memory)


@torch.no_grad()
def _below(stack: Stack, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The states at the input of the lowest adapted layer, or the last ones where no layer is adapted; (B, T, hidden)."""
    if stack.first == len(stack.layers):
        return stack.network(input_ids=ids, attention_mask=mask).last_hidden_state  # type: ignore[no-any-return]
    seen: list[torch.Tensor] = []

    def stop(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen.append(inputs[0])
        raise _ReachedError

    handle = stack.layers[stack.first].register_forward_pre_hook(stop)
    try:
        stack.network(input_ids=ids, attention_mask=mask)
    except _ReachedError:
        pass
    finally:
        handle.remove()
    place = place_in(stack.network)
    return seen[0] if place is None else place.unpack(seen[0][0])
