"""Define the core adapter family: W + s F R A with frozen outer factors, of which only the small middle one, R, is trained.

It is Fed-SB (Singhal et al. 2025, arXiv 2502.15436) with outer factors of random signs in place of a decomposition of a
gradient, so that every site has the same ones bit for bit and none of them depends on records.
"""

import re
from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import PreTrainedModel

from shared.adapters import lora
from shared.config.adapter import AdapterSection
from shared.seeds import signs

PACKED = re.compile(r"lora_B\.\w+\.core\.weight$")


class CoreFactor(nn.Module):
    """The factor B of a LoRA layer as a product F R, with F (d_out, r) frozen and R (r, r) trained."""

    def __init__(self, frame: torch.Tensor) -> None:
        super().__init__()
        self.frame: torch.Tensor
        self.register_buffer("frame", frame, persistent=False)  # follows from the seed
        self.core = nn.Linear(frame.shape[1], frame.shape[1], bias=False, device=frame.device, dtype=frame.dtype)
        nn.init.zeros_(self.core.weight)

    @property
    def weight(self) -> torch.Tensor:
        """Return B, (d_out, r), which PEFT reads when it merges the adapter."""
        return self.frame @ self.core.weight

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return F R h for each h, (..., r) to (..., d_out)."""
        return F.linear(self.core(hidden), self.frame)


def peft_config(network: PreTrainedModel, section: AdapterSection) -> LoraConfig:
    """Return PEFT's configuration of the adapter: that of the LoRA adapter with the same rank, layers and scale."""
    return lora.peft_config(network, section)


def start(tuned: nn.Module, section: AdapterSection, seed: int) -> None:
    """Set A's entries to +-1/sqrt(d_in) and F's to +-1/sqrt(d_out), freeze both, and leave R zero; R is trained.

    A layer's output is linear in R. So the mean of the adapters is the adapter of the mean: F mean(R_k) A = mean(F R_k A).
    R moves although it starts at zero, because neither A nor F is zero.

    Parameters
    ----------
    tuned
        The model with its new adapter.
    section
        The rank and the scaling.
    seed
        The run's seed, which is public.
    """
    lora.start(tuned, section, seed)  # with A frozen, since the family does not read adapter.train
    for name, layer in tuned.named_modules():
        if isinstance(layer, LoraLayer):
            before = cast("nn.Linear", layer.lora_B["default"]).weight  # (d_out, rank)
            frame = signs(tuple(before.shape), seed, "core_frame", name) / np.sqrt(np.float32(before.shape[0]))
            layer.lora_B["default"] = CoreFactor(torch.from_numpy(frame).to(before.device, before.dtype))


def cores(tuned: nn.Module) -> Mapping[str, CoreFactor]:
    """Return the product factors of a model by name; none if its adapter is of another family."""
    return {name: module for name, module in tuned.named_modules() if isinstance(module, CoreFactor)}


def as_lora(tuned: nn.Module) -> dict[str, torch.Tensor]:
    """Return the model's state with each product F R in the place of LoRA's B, which PEFT alone can load."""
    state: dict[str, torch.Tensor] = dict(tuned.state_dict())
    for name, factor in cores(tuned).items():
        del state[f"{name}.core.weight"]
        state[f"{name}.weight"] = factor.weight.detach()
    return state
