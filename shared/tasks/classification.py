"""Classification: an encoder, mean pooling over its tokens, and a linear head; all that is trained is in the plan."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from shared.adapters.peft import attach_adapter, base_alone, restore_peft, save_peft
from shared.config.adversary import NO_GROUP
from shared.config.run import RunConfig
from shared.errors import ModelError
from shared.metrics.bootstrap import Interval, Sums, mean
from shared.metrics.classification import classification_metrics
from shared.models.load import Kind, LoadedModel
from shared.records.types import Record
from shared.seeds import signs
from shared.tasks.adversarial_debiasing import hiding_losses
from shared.tasks.base import Batch, Example, Outcome

HEAD_FILE = "head.safetensors"
HEADS = ("head.", "adversary.")  # how the names of trained tensors begin that are no part of an adapter


class MeanPoolingClassifier(nn.Module):
    """An encoder whose mean token state goes through a float32 linear head.

    With ``groups`` it has a second head for training alone, the adversary, which no answer goes through.
    """

    def __init__(self, encoder: nn.Module, hidden: int, classes: int, seed: int, groups: int = 0) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = _head(hidden, classes, seed, "head")
        self.adversary = _head(hidden, groups, seed, "adversary") if groups else None

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Token ids and mask (B, T) to logits (B, classes)."""
        logits: torch.Tensor = self.head(self.pooled(ids, mask))
        return logits

    def pooled(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Mean of the last hidden states over real tokens, (B, hidden), in float32."""
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()  # (B, T, hidden)
        weights = mask.unsqueeze(-1).float()
        mean: torch.Tensor = (states * weights).sum(dim=1) / weights.sum(dim=1)
        return mean


def _head(hidden: int, classes: int, seed: int, name: str) -> nn.Linear:
    """A linear head that is the same at every site: signs over the square root of the width, and no bias."""
    head = nn.Linear(hidden, classes)
    start = signs((classes, hidden), seed, name) / np.sqrt(np.float32(hidden))
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(start))
        head.bias.zero_()
    return head


class Classification:
    """Texts to one label of a public set."""

    kind: Kind = "encoder"

    def __init__(self, config: RunConfig, base: LoadedModel) -> None:
        self.labels = config.task.labels
        self.adapter = config.adapter
        self.adversary = config.adversary
        self.max_length = config.model.max_length
        self.tokenizer = base.tokenizer

    def build(self, base: LoadedModel, seed: int) -> nn.Module:
        """Encoder with its adapter (none at rank 0) and new heads, float32, on the base's device."""
        encoder: nn.Module = attach_adapter(base, self.adapter, seed) if self.adapter.rank else base.network
        groups = len(self.adversary.groups) if self.adversary else 0
        model = MeanPoolingClassifier(encoder, base.network.config.hidden_size, len(self.labels), seed, groups)
        for head in (model.head, model.adversary):
            if head is not None:
                head.to(base.device)
        return model

    def encode(self, records: Sequence[Record]) -> list[Example]:
        """Text to token ids, label and declared group to their indices."""
        if not records:
            return []
        texts = [record.fields["text"] for record in records]
        ids = self.tokenizer(texts, truncation=True, max_length=self.max_length)["input_ids"]
        index = {label: number for number, label in enumerate(self.labels)}
        groups = [self.adversary.number(record.group) if self.adversary else NO_GROUP for record in records]
        return [
            Example(np.asarray(row, dtype=np.int64), index[record.label or ""], group)
            for row, record, group in zip(ids, records, groups, strict=True)
        ]

    def losses(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Cross-entropy of each record, (B,)."""
        return F.cross_entropy(model(batch.ids, batch.mask), batch.targets, reduction="none")

    def training_losses(self, model: nn.Module, batch: Batch, distillation: float) -> torch.Tensor:
        """Cross-entropy of each record, and what a config adds to it: a distance from the base, an adversary's loss.

        The distance is that of its embedding from the base's, squared, in squared norms of that: the base has no head of
        its own that could teach; its embedding is all that it knows of a text.
        """
        assert isinstance(model, MeanPoolingClassifier)  # noqa: S101  what build() made
        taught = self._taught(model, batch) if distillation else None
        pooled = model.pooled(batch.ids, batch.mask)  # (B, hidden)
        losses = F.cross_entropy(model.head(pooled), batch.targets, reduction="none")
        if taught is not None:
            losses = losses + distillation * (pooled - taught).square().sum(dim=1) / taught.square().sum(dim=1)
        if model.adversary is not None and self.adversary is not None and batch.groups is not None:
            losses = losses + hiding_losses(model.adversary, pooled, batch.groups, self.adversary.weight)
        return losses

    @staticmethod
    def _taught(model: MeanPoolingClassifier, batch: Batch) -> torch.Tensor:
        """The base's own embeddings, (B, hidden)."""
        with torch.no_grad(), base_alone(model):
            return model.pooled(batch.ids, batch.mask)

    def outcome(self, model: nn.Module, batch: Batch) -> Outcome:
        """True and predicted class of each record, and the probability of each class."""
        probabilities = model(batch.ids, batch.mask).double().softmax(dim=1).cpu().numpy()
        return Outcome(batch.targets.double().cpu().numpy(), probabilities.argmax(axis=1).astype(np.float64), probabilities)

    def metrics(self, outcome: Outcome, resamples: int, confidence: float, seed: int) -> Mapping[str, Interval]:
        """Accuracy, balanced accuracy, and macro precision, recall and F1."""
        truth, predicted = outcome.first.astype(np.int64), outcome.second.astype(np.int64)
        return classification_metrics(truth, predicted, len(self.labels), resamples, confidence, seed)

    def chief(self, outcome: Outcome) -> Sums:
        """Accuracy."""
        return mean("accuracy", (outcome.first == outcome.second).astype(np.float64))

    def save(self, model: nn.Module, folder: Path) -> None:
        """PEFT's files for the encoder, and ``head.safetensors`` with the head's weight and bias."""
        assert isinstance(model, MeanPoolingClassifier)  # noqa: S101  what build() made
        if isinstance(model.encoder, PeftModel):
            save_peft(model.encoder, folder)
        save_file({"weight": model.head.weight.detach().cpu(), "bias": model.head.bias.detach().cpu()}, folder / HEAD_FILE)

    def restore(self, model: nn.Module, folder: Path) -> None:
        """Set adapter and head from a saved adapter folder."""
        assert isinstance(model, MeanPoolingClassifier)  # noqa: S101  what build() made
        if isinstance(model.encoder, PeftModel):
            restore_peft(model.encoder, folder)
        try:
            model.head.load_state_dict(load_file(folder / HEAD_FILE))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise ModelError(
                f"{folder / HEAD_FILE}: not the head of this run; give the adapter folder of a finished run"
            ) from error
