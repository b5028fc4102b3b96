"""The IA3 family of adapters (Liu et al. 2022, arXiv 2205.05638): learnt factors on what layers give, or are given."""

import re

from peft import IA3Config
from torch import nn
from transformers import PreTrainedModel

from shared.adapters.targets import layer_numbers, linear_names, refuse_unknown
from shared.config.adapter import AdapterSection
from shared.errors import ModelError

SECOND = ("output.dense", "mlp.down_proj", "ffn.lin2")  # second feed-forward layers: of BERT, Llama and DistilBERT
PLACES = (
    ("attention.self.key", "attention.self.value", SECOND[0]),
    ("self_attn.k_proj", "self_attn.v_proj", SECOND[1]),
    ("attention.k_lin", "attention.v_lin", SECOND[2]),
)


def ia3_config(network: PreTrainedModel, section: AdapterSection) -> IA3Config:
    """PEFT's configuration of the adapter: its places as patterns of whole module names, which no other layer matches.

    A layer gives l * (W x + b), with l of shape (d_out, 1); a second feed-forward layer that is known by name scales what
    it is given, W (l * x) + b, with l of shape (1, d_in), as in the paper. PEFT's own name for that layer of BERT would
    match the last layer of its attention too. l starts at 1, so that the tuned model is the base model.

    What a layer gives is linear in l, the only thing trained in it: under the mean of the sites' l it gives the mean of
    what it gives under each. So the mean of adapters is the adapter of the mean, as for LoRA with A frozen.

    Raises:
        ModelError: a target layer does not exist or is no linear layer, or there are no known ones to take.
    """
    numbers = layer_numbers(network, section)
    inside = rf"\D*\.({'|'.join(map(str, numbers))})\." if numbers is not None else r"\D*\.\d+\."
    if section.targets:
        refuse_unknown(network, section.targets)
        inside = rf"{inside}(.*\.)?" if numbers is not None else r"(.*\.)?"
    return IA3Config(
        target_modules=inside + _any_of(section.targets or _known_places(network)),
        feedforward_modules=r"\D*\.\d+\." + _any_of(SECOND),
    )


def _known_places(network: nn.Module) -> tuple[str, ...]:
    """Keys, values and the second feed-forward layer, by their names inside a layer."""
    names = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    for places in PLACES:
        if all(any(re.fullmatch(r"\D*\.\d+\." + re.escape(place), name) for name in names) for place in places):
            return places
    raise ModelError(
        "adapter.targets: this model's keys, values and feed-forward layers are not known; name some of: "
        f"{', '.join(linear_names(network))}"
    )


def _any_of(names: tuple[str, ...]) -> str:
    return f"({'|'.join(map(re.escape, names))})"
