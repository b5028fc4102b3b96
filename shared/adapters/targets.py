"""Find the layers of a base model that can be adapted: layer numbers and names of linear layers."""

from collections.abc import Sequence

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from shared.config.adapter import AdapterSection
from shared.errors import ModelError


def layer_numbers(network: PreTrainedModel, section: AdapterSection) -> list[int] | None:
    """Return the numbers of the layers to adapt, from 0, or None for all layers of a model that reads text alone.

    Raises
    ------
    ModelError
        The model has no such layers.
    """
    reads_other_media = any(is_for_other_media(name) for name, _ in network.named_modules())
    if not section.layers and not section.last_layers and not reads_other_media:
        return None
    layers, count = int(network.config.get_text_config().num_hidden_layers), section.last_layers
    if count > layers:
        raise ModelError(f"adapter.last_layers = {count}: this model has {layers} layers; give 0 to {layers}")
    beyond = [number for number in section.layers if number >= layers]
    if beyond:
        raise ModelError(f"adapter.layers: there is no layer {beyond[0]}; this model has layers 0 to {layers - 1}")
    return sorted(section.layers) or list(range(layers - (count or layers), layers))


def within_layers(network: nn.Module, targets: Sequence[str], numbers: Sequence[int]) -> list[str]:
    """Return the whole names of the targets in the layers with these numbers.

    PEFT finds the number of a layer by patterns that miss some models, such as ModernBERT. The first number in a module's
    name is the number of its layer.

    Raises
    ------
    ModelError
        A layer has none of the targets.
    """
    found: dict[int, list[str]] = {number: [] for number in numbers}
    for name in _linear(network):
        place = next((int(part) for part in name.split(".") if part.isdigit()), None)
        if place in found and name.split(".")[-1] in targets:
            found[place].append(name)
    for number, names in found.items():
        if not names:
            raise ModelError(
                f"adapter.last_layers, adapter.layers: layer {number} of this model has no {' or '.join(targets)} of its "
                "own (its layers share their weights, or are of several kinds); choose other layers, or adapt all"
            )
    return [name for names in found.values() for name in names]


def linear_names(network: nn.Module) -> list[str]:
    """Return the last parts of the names of all linear layers, sorted; ``adapter.targets`` may name them."""
    return sorted({name.split(".")[-1] for name in _linear(network)})


def _linear(network: nn.Module) -> list[str]:
    """Return the whole names of all linear layers; GPT-2 stores their weights turned, as ``Conv1D``."""
    linear = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear | Conv1D)]
    return [name for name in linear if not is_for_other_media(name)]


def is_for_other_media(name: str) -> bool:
    """Return whether a module reads pictures or sound, so that no record of text passes through the module."""
    return any(word in part for part in name.split(".") for word in ("vision", "audio", "multi_modal"))


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
