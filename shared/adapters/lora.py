"""Define the LoRA adapter family: which layers it adapts, how it is scaled and how it is initialised."""

import re
from typing import cast

import numpy as np
import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import PreTrainedModel

from shared.adapters.targets import layer_numbers, linear_names, refuse_unknown, within_layers
from shared.config.adapter import AdapterSection
from shared.errors import ModelError
from shared.seeds import signs

PACKED = re.compile(r"lora_[AB]\.\w+\.weight$")
# Names of the attention layers in known model families; the first row that a model has in full is adapted.
ATTENTION = (
    ("query", "key", "value"),
    ("q_proj", "k_proj", "v_proj"),
    ("q_lin", "k_lin", "v_lin"),
    ("query_key_value",),
    ("qkv_proj",),
    ("Wqkv",),
    ("c_attn",),
    ("q", "k", "v"),
    ("value_proj",),  # DeBERTa's query_proj and key_proj read positions too, which belong to no record
)


def peft_config(network: PreTrainedModel, section: AdapterSection) -> LoraConfig:
    """Return PEFT's configuration of the adapter.

    Rank-stabilised scaling is that of Kalajdzievski 2023 (arXiv 2312.03732).

    Parameters
    ----------
    network
        The base model.
    section
        Which layers to adapt, the rank and the scaling.

    Raises
    ------
    ModelError
        A target layer does not exist or is not linear, or no target is set and the model's layer names are not known.
    """
    targets = list(section.targets or _attention_targets(network))
    refuse_unknown(network, targets)
    numbers = layer_numbers(network, section)
    return LoraConfig(
        r=section.rank,
        lora_alpha=section.alpha,  # type: ignore[arg-type]  # PEFT takes any number
        lora_dropout=section.dropout,
        target_modules=targets if numbers is None else within_layers(network, targets, numbers),
        use_rslora=section.scaling == "rank-stabilised",
        bias="none",
    )


def start(tuned: nn.Module, section: AdapterSection, seed: int) -> None:
    """Set A's entries to +-1/sqrt(d_in) and leave B zero; freeze A unless the config trains it.

    A's rows have norm 1 exactly and are nearly orthogonal, which bounds B's gradient as FedSVD's orthonormal A does
    (Lee et al. 2025, arXiv 2505.12805). The signs come from SHAKE-256 of the run's seed, so every site has the same A bit
    for bit. With A frozen (FFA-LoRA, Sun et al. 2024, arXiv 2403.12313) the mean of adapters is the adapter of the mean;
    with both factors trained it is not.

    Parameters
    ----------
    tuned
        The model with its new adapter.
    section
        Which factors are trained.
    seed
        The run's seed, which is public.
    """
    for name, layer in tuned.named_modules():
        if isinstance(layer, LoraLayer):
            factor = cast("nn.Linear", layer.lora_A["default"]).weight  # (rank, d_in)
            start = signs(tuple(factor.shape), seed, "lora_A", name) / np.sqrt(np.float32(factor.shape[1]))
            factor.data.copy_(torch.from_numpy(start))
            factor.requires_grad_(section.train == "AB")


def _attention_targets(network: nn.Module) -> tuple[str, ...]:
    """Return the names of the model's attention layers; refuse a model whose layer names are not known."""
    present = linear_names(network)
    for names in ATTENTION:
        if set(present).issuperset(names):
            return names
    raise ModelError(f"adapter.targets: this model's attention layers are not known; name some of: {', '.join(present)}")
