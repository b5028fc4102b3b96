"""Turn chosen states of a language model into logits by the model's own forward pass.

Many models change the logits after the vocabulary projection: Gemma 2 caps them, Granite and Cohere scale them. So nothing
here multiplies with a weight of the model. Its own ``forward`` runs instead, with its transformer replaced by given states.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def transformer_of(network: Any) -> Any:
    """Return the part of a language model that turns token ids into states, and that its own forward pass calls."""
    whole = network.base_model
    reads_pictures_too = hasattr(whole, "language_model")
    return whole if reads_pictures_too else network.get_decoder()


def logits_of(network: Any, output: Any, states: torch.Tensor) -> torch.Tensor:
    """Return the logits of states, (B, R, V), as the model's own forward pass computes them.

    Parameters
    ----------
    network
        A causal language model of transformers.
    output
        What its transformer gave for some batch; its other fields are handed on as they are.
    states
        States to project, (B, R, H).
    """
    given = type(output)(**{**output, "last_hidden_state": states})
    ids = torch.zeros(states.shape[:2], dtype=torch.int64, device=states.device)
    with _replaced(network, _Given(given, transformer_of(network))):
        logits: torch.Tensor = network(input_ids=ids, use_cache=False).logits
    return logits


def projection_trains(network: Any) -> bool:
    """Return whether anything outside of the transformer is trained, such as an adapter on ``lm_head``."""
    inside = {id(parameter) for parameter in transformer_of(network).parameters()}
    return any(parameter.requires_grad and id(parameter) not in inside for parameter in network.parameters())


class _Given(nn.Module):
    """A module that returns a given output, whatever it is called with; its other attributes are those of the transformer.

    Falcon-H1's forward pass reads the factor of its logits from the transformer.
    """

    def __init__(self, output: Any, transformer: nn.Module) -> None:
        super().__init__()
        self._output = output
        self._transformer = (transformer,)  # in a tuple, so that it does not become a child of this module

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the transformer."""
        return getattr(self._transformer[0], name)

    def forward(self, *_: Any, **__: Any) -> Any:
        """Return the output."""
        return self._output


@contextmanager
def _replaced(network: nn.Module, stand_in: nn.Module) -> Iterator[None]:
    """Put a module in the place of the transformer inside the block."""
    wanted = transformer_of(network)
    holder, name = next(
        (module, name) for module in network.modules() for name, child in module.named_children() if child is wanted
    )
    setattr(holder, name, stand_in)
    try:
        yield
    finally:
        setattr(holder, name, wanted)
