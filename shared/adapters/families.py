"""List the adapter families; the module of each says which layers it adapts and how it is initialised."""

import re
from collections.abc import Mapping
from typing import Protocol

from peft import PeftConfig
from torch import nn
from transformers import PreTrainedModel

from shared.adapters import core, ia3, lora
from shared.config.adapter import AdapterSection, FamilyName


class Family(Protocol):
    """Interface of the module of a family.

    The mean of its adapters should be the adapter of the mean, so that aggregation is exact; the module says when it is.
    """

    @property
    def PACKED(self) -> re.Pattern[str]:
        """Return a pattern for the names of the trained tensors that a fused operation of `privacy.dp` covers.

        Only a fused operation can compute per-record gradients of records that are packed end to end. If a family has none,
        its pattern matches nothing; then batches are padded, and Opacus' hooks compute the gradients.
        """

    def peft_config(self, network: PreTrainedModel, section: AdapterSection) -> PeftConfig:
        """Return PEFT's configuration of the adapter; raise a ModelError if a named layer does not exist."""

    def start(self, tuned: nn.Module, section: AdapterSection, seed: int) -> None:
        """Initialise a new adapter so that the tuned model equals the base model, and choose which tensors are trained."""


FAMILIES: Mapping[FamilyName, Family] = {"lora": lora, "core": core, "ia3": ia3}


def packable(name: str) -> bool:
    """Return whether per-record gradients of the tensor with this name can be computed for packed records too."""
    return any(family.PACKED.search(name) for family in FAMILIES.values())
