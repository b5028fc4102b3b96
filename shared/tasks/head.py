"""Define an encoder with a linear head, which the tasks with labels share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from shared.adapters.peft import attach_adapter, restore_peft, save_peft
from shared.config.run import RunConfig
from shared.errors import ModelError
from shared.models.load import Kind, LoadedModel
from shared.ops.disk import os_errors
from shared.seeds import signs
from shared.tasks.base import Task
from shared.tasks.examples import Batch

HEAD_FILE = "head.safetensors"
HEADS = ("head.", "adversary.")  # prefixes of the names of trained tensors that belong to heads, not to an adapter


class HeadedEncoder(nn.Module):
    """An encoder with a float32 linear head."""

    def __init__(self, encoder: nn.Module, hidden: int, classes: int, seed: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = new_head(hidden, classes, seed, "head")

    def states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the last hidden states of token ids (B, T), (B, T, hidden), in float32."""
        states: torch.Tensor = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        return states

    def pooled(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the mean of the last hidden states over real tokens, (B, hidden), in float32."""
        weights = mask.unsqueeze(-1).float()
        mean: torch.Tensor = (self.states(ids, mask) * weights).sum(dim=1) / weights.sum(dim=1)
        return mean


def new_head(hidden: int, classes: int, seed: int, name: str) -> nn.Linear:
    """Return a linear head that is the same at every site: weights +-1 / sqrt(hidden) by the run's seed, and bias 0."""
    head = nn.Linear(hidden, classes)
    start = signs((classes, hidden), seed, name) / np.sqrt(np.float32(hidden))
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(start))
        head.bias.zero_()
    return head


class HeadedTask(Task):
    """A task whose model is a ``HeadedEncoder``."""

    kind: ClassVar[Kind] = "encoder"
    embeds: ClassVar[bool] = True

    def __init__(self, config: RunConfig, base: LoadedModel) -> None:
        self.labels = config.task.labels
        self.adapter = config.adapter
        self.max_length = config.model.max_length
        self.tokenizer = base.tokenizer

    def adapted(self, base: LoadedModel, seed: int) -> nn.Module:
        """Return the encoder with its adapter; without one at rank 0."""
        return attach_adapter(base, self.adapter, seed) if self.adapter.rank else base.network

    def encoder(self, model: nn.Module) -> Any:
        """Return the encoder."""
        return headed(model).encoder

    def embed(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the mean of the last hidden states of each record, (B, hidden)."""
        return headed(model).pooled(batch.ids, batch.mask)

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write PEFT's files for the encoder, and ``head.safetensors`` with the head's weight and bias."""
        made = headed(model)
        if isinstance(made.encoder, PeftModel):
            save_peft(made.encoder, folder)
        with os_errors():
            save_file({"weight": made.head.weight.detach().cpu(), "bias": made.head.bias.detach().cpu()}, folder / HEAD_FILE)

    def restore(self, model: nn.Module, folder: Path) -> None:
        """Set adapter and head from a saved adapter folder."""
        made = headed(model)
        if isinstance(made.encoder, PeftModel):
            restore_peft(made.encoder, folder)
        try:
            made.head.load_state_dict(load_file(folder / HEAD_FILE))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise ModelError(
                f"{folder / HEAD_FILE}: not the head of this run; give the adapter folder of a finished run"
            ) from error

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text with the encoder's special tokens, cut to the configured length."""
        return list(self.tokenizer(list(texts), truncation=True, max_length=self.max_length)["input_ids"])


def headed(model: nn.Module) -> HeadedEncoder:
    """Return the same model, typed as the ``HeadedEncoder`` that ``build`` made."""
    assert isinstance(model, HeadedEncoder)  # noqa: S101  what build() made
    return model
