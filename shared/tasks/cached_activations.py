"""Cache the activations below the adapter: these layers never change, so their output is computed once for each example."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from shared.models.packing import place_in
from shared.tasks.base import Learner
from shared.tasks.examples import Batch, Example

WORTHWHILE = 1  # expected number of passes of an example from which caching saves time
MEMORY_SHARE = 1 / 8  # largest share of the machine's memory that the states may take


@dataclass(frozen=True)
class Stack:
    """The embeddings and the layers of a model.

    Attributes
    ----------
    network
        The transformer.
    owner, name
        The module that holds the list of layers, and the attribute's name there.
    embeddings
        The module that turns token ids into states.
    first
        Number of the lowest layer with an adapter; the number of layers if there is none.
    """

    network: Any
    owner: Any
    name: str
    embeddings: Any
    first: int

    @property
    def layers(self) -> nn.ModuleList:
        """Return the layers that the next forward pass runs."""
        return getattr(self.owner, self.name)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class FrozenPrefix:
    """Each example's hidden states, (T, hidden), at the input of the lowest adapted layer.

    Up to rounding, the states of an example depend on that example only: nothing below the adapter is trained, and the base
    model's dropout is off. They are computed in the same order whatever is sampled, so that a run without privacy is
    reproducible bit for bit.
    """

    stack: Stack
    states: tuple[torch.Tensor, ...] = field(repr=False)

    @classmethod
    def build(cls, learner: Learner, examples: Sequence[Example], visits: float, max_tokens: int) -> "FrozenPrefix | None":
        """Return the states of all examples; None if no layer is frozen, or if caching does not pay or does not fit.

        Parameters
        ----------
        learner
            The task with its model.
        examples
            All encoded records.
        visits
            Expected number of passes of an example through the model.
        max_tokens
            The most tokens of a micro-batch.
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
        """Skip the frozen layers inside the block: the lowest adapted layer gets the cached states of rows ``indices``.

        Parameters
        ----------
        indices
            Numbers of the examples in the batch that the model gets inside the block, in the order of the batch.
        """
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
    """Yield all examples in micro-batches: their indices and their tensors.

    Parameters
    ----------
    learner
        The task with its model.
    examples
        All encoded records.
    prefix
        Cached states of the same examples, from which the model starts; None computes every layer.
    max_tokens
        The most tokens of a micro-batch.
    """
    for chosen, batch in learner.batches(examples, range(len(examples)), max_tokens):
        with prefix.replayed(chosen) if prefix else nullcontext():
            yield chosen, batch


def embed(
    learner: Learner, examples: Sequence[Example], prefix: FrozenPrefix | None, max_tokens: int
) -> npt.NDArray[np.float32]:
    """Return the embedding of each example by the model in its present state, (N, hidden).

    Parameters
    ----------
    learner
        A learner whose task ``embeds``.
    examples
        N encoded records or texts.
    prefix
        The cached states of these examples, or None.
    max_tokens
        The most tokens of a micro-batch.
    """
    out = np.zeros((len(examples), learner.base.network.config.hidden_size), dtype=np.float32)
    learner.model.eval()
    with torch.no_grad():
        for chosen, batch in batches(learner, examples, prefix, max_tokens):
            out[chosen] = learner.task.embed(learner.model, batch).cpu().numpy()
    return out


class _ReachedError(Exception):
    """Ends a forward pass at the lowest adapted layer."""


def _stack(learner: Learner) -> Stack | None:
    """Return the layers of a BERT or Llama model, which are one plain stack; None for any other architecture."""
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
    """Return whether the states of all tokens fit into the share of memory that they may take."""
    width = learner.base.network.config.hidden_size * learner.base.dtype.itemsize
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return bool(sum(len(example) for example in examples) * width <= MEMORY_SHARE * memory)


@torch.no_grad()
def _below(stack: Stack, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the states (B, T, hidden) at the input of the lowest adapted layer; the last states if none is adapted."""
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
