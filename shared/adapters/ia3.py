"""Define the IA3 adapter family (Liu et al. 2022, arXiv 2205.05638): learnt factors on outputs or inputs of layers."""

import re

from peft import IA3Config
from torch import nn
from transformers import PreTrainedModel

from shared.adapters.targets import layer_numbers, linear_names, refuse_unknown
from shared.config.adapter import AdapterSection
from shared.errors import ModelError

SECOND = ("output.dense", "mlp.down_proj", "ffn.lin2")  # second feed-forward layer of BERT, Llama and DistilBERT
PACKED = re.compile(r"ia3_l\.\w+$")
# Keys, values and the second feed-forward layer, which the paper scales, as these three model families name them.
PLACES = (
    ("attention.self.key", "attention.self.value", SECOND[0]),
    ("self_attn.k_proj", "self_attn.v_proj", SECOND[1]),
    ("attention.k_lin", "attention.v_lin", SECOND[2]),
)


def peft_config(network: PreTrainedModel, section: AdapterSection) -> IA3Config:
    """Return PEFT's configuration of the adapter, with the adapted layers as patterns of whole module names.

    An adapted layer computes l * (W x + b), with l of shape (d_out, 1). A second feed-forward layer whose name is known
    scales its input instead, W (l * x) + b, with l of shape (1, d_in), as in the paper. Whole names are needed because
    PEFT's own name for that layer of BERT also matches the last layer of its attention.

    Only l is trained, and a layer's output is linear in l. So the mean of adapters is the adapter of the mean, as for LoRA
    with A frozen.

    Parameters
    ----------
    network
        The base model.
    section
        Which layers to adapt.

    Raises
    ------
    ModelError
        A target layer does not exist or is not linear, or no target is set and the model's layer names are not known.
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


def start(tuned: nn.Module, section: AdapterSection, seed: int) -> None:
    """Keep PEFT's initial values: every l is 1, so the tuned model equals the base model; all of l is trained."""


def _known_places(network: nn.Module) -> tuple[str, ...]:
    """Return the names of keys, values and the second feed-forward layer inside a block."""
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
