"""Which layers of a base model an adapter may sit on: their numbers, and the names of the linear ones in them."""

from collections.abc import Sequence

from torch import nn
from transformers import PreTrainedModel

from shared.config.adapter import AdapterSection
from shared.errors import ModelError


def layer_numbers(network: PreTrainedModel, section: AdapterSection) -> list[int] | None:
    """Numbers of the layers to adapt, from 0, or None for all of them.

    Raises:
        ModelError: the model has no such layers.
    """
    layers, count = int(network.config.num_hidden_layers), section.last_layers
    if count > layers:
        raise ModelError(f"adapter.last_layers = {count}: this model has {layers} layers; give 0 to {layers}")
    beyond = [number for number in section.layers if number >= layers]
    if beyond:
        raise ModelError(f"adapter.layers: there is no layer {beyond[0]}; this model has layers 0 to {layers - 1}")
    return sorted(section.layers) or (list(range(layers - count, layers)) if count else None)


def linear_names(network: nn.Module) -> list[str]:
    """The last parts of the names of all linear layers, sorted: what ``adapter.targets`` may name."""
    return sorted({name.split(".")[-1] for name, layer in network.named_modules() if isinstance(layer, nn.Linear)})


def refuse_unknown(network: nn.Module, targets: Sequence[str]) -> None:
    """Refuse names that are no linear layers of the model.

    Raises:
        ModelError: a name is none of ``linear_names``.
    """
    present = linear_names(network)
    for target in targets:
        if target not in present:
            raise ModelError(
                f"adapter.targets: '{target}' is no linear layer of this model; there are: {', '.join(present)}"
            )
