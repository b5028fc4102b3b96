"""The families of adapters that PEFT builds, one module each: which layers one adapts, and how it starts."""

import re
from collections.abc import Mapping
from typing import Protocol

from peft import PeftConfig
from torch import nn
from transformers import PreTrainedModel

from shared.adapters import ia3, lora
from shared.config.adapter import AdapterSection, FamilyName


class Family(Protocol):
    """What a module of a family has. The mean of its adapters should be the adapter of the mean; the module says when."""

    @property
    def PACKED(self) -> re.Pattern[str]:
        """Return a pattern of the trained tensors' names, if `privacy.dp` has a fused operation for them.

        Only such an operation finds each record's gradient where records lie end to end. The pattern of a family without
        one matches nothing: then batches are padded, and Opacus' hooks compute the gradients.
        """

    def peft_config(self, network: PreTrainedModel, section: AdapterSection) -> PeftConfig:
        """Return PEFT's configuration of the adapter; raise ModelError where the layers that are named do not exist."""

    def start(self, tuned: nn.Module, section: AdapterSection, seed: int) -> None:
        """Set the new adapter's numbers, so that the tuned model is the base model, and choose what is trained."""


FAMILIES: Mapping[FamilyName, Family] = {"lora": lora, "ia3": ia3}


def packable(name: str) -> bool:
    """Return whether the gradients of the tensor of this name are computed for each record, however the records lie."""
    return any(family.PACKED.search(name) for family in FAMILIES.values())
