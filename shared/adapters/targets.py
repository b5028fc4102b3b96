"""Find the layers of a base model that can be adapted: layer numbers and names of linear layers."""

from collections.abc import Sequence

from torch import nn
from transformers import PreTrainedModel

from shared.config.adapter import AdapterSection
from shared.errors import ModelError


def layer_numbers(network: PreTrainedModel, section: AdapterSection) -> list[int] | None:
    """Return the numbers of the layers to adapt, from 0, or None for all layers.

    Raises
    ------
    ModelError
        The model has no such layers.
    """
    layers, count = int(network.config.num_hidden_layers), section.last_layers
    if count > layers:
        raise ModelError(f"adapter.last_layers = {count}: this model has {layers} layers; give 0 to {layers}")
    beyond = [number for number in section.layers if number >= layers]
    if beyond:
        raise ModelError(f"adapter.layers: there is no layer {beyond[0]}; this model has layers 0 to {layers - 1}")
    return sorted(section.layers) or (list(range(layers - count, layers)) if count else None)


def linear_names(network: nn.Module) -> list[str]:
    """Return the last parts of the names of all linear layers, sorted; ``adapter.targets`` may name them."""
    return sorted({name.split(".")[-1] for name, layer in network.named_modules() if isinstance(layer, nn.Linear)})


def refuse_unknown(network: nn.Module, targets: Sequence[str]) -> None:
    """Refuse names that are not linear layers of the model.

    Raises
    ------
    ModelError
        A name is none of ``linear_names``.
    """
    present = linear_names(network)
    for target in targets:
        if target not in present:
            raise ModelError(
                f"adapter.targets: '{target}' is not a linear layer of this model; there are: {', '.join(present)}"
            )
