"""Define the task classification: an encoder, mean pooling over its token states, and a linear head."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from shared.adapters.peft import base_only, read_adapter
from shared.adapters.state import AdapterState
from shared.config.adversary import NO_GROUP
from shared.config.run import RunConfig
from shared.metrics.bootstrap import Floats, Interval, Ints, Sums, mean
from shared.metrics.calibration import calibration
from shared.metrics.classification import class_scores, classification_metrics, confusion, present_f1
from shared.models.load import LoadedModel
from shared.records.types import Record
from shared.tasks.adversarial_debiasing import adversarial_losses
from shared.tasks.base import Learner, Reading, Trivial
from shared.tasks.cached_activations import embed
from shared.tasks.examples import Batch, Example, collate
from shared.tasks.head import HeadedEncoder, HeadedTask, headed, new_head
from shared.tasks.outcome import Outcome

_NOT_A_WORD = re.compile(r"[\W_]+")  # what separates the words of a label like card_arrival


@dataclass(frozen=True, kw_only=True)
class ClassOutcome(Outcome):
    """True and predicted class of each record, both (N,), and the probability of each class, (N, classes), if known."""

    truth: Ints = field(repr=False)
    predicted: Ints = field(repr=False)
    probabilities: Floats | None = field(repr=False, default=None)
    right_or_wrong: ClassVar[bool] = True

    def primary(self) -> Sums:
        """Return accuracy."""
        return mean("accuracy", 1 - self.damage())

    def damage(self) -> Floats:
        """Return 1 for each record with a wrong class, else 0."""
        return np.asarray(self.truth != self.predicted, dtype=np.float64)

    def metrics(self, resamples: int, confidence: float, seed: int) -> Mapping[str, Interval]:
        """Return accuracy, balanced accuracy, and macro precision, recall and F1."""
        return classification_metrics(self.truth, self.predicted, len(self.labels), resamples, confidence, seed)

    def values(self) -> Mapping[str, float]:
        """Return accuracy, and macro F1 over the classes that occur."""
        return {"accuracy": self.primary().value(), "macro_f1": present_f1(self.truth, self.predicted)}

    def answers(self) -> Ints:
        """Return the predicted classes."""
        return self.predicted

    def breakdown(self, resamples: int, confidence: float, seed: int) -> dict[str, Any]:
        """Return scores by class, the confusion matrix, and calibration if the model gave probabilities."""
        resampling = (resamples, confidence, seed)
        return {
            "labels": list(self.labels),
            "classes": [asdict(score) for score in class_scores(self.truth, self.predicted, self.labels, *resampling)],
            "confusion": confusion(self.truth, self.predicted, len(self.labels)).tolist(),
            "calibration": self._calibration(*resampling),
        }

    def _calibration(self, *resampling: Any) -> dict[str, Any] | None:
        if self.probabilities is None:
            return None
        found = asdict(calibration(self.truth, self.probabilities, *resampling))
        return found | {"bins": [row for row in found["bins"] if row["records"]]}


class MeanPoolingClassifier(HeadedEncoder):
    """An encoder whose mean token state goes through a linear head.

    With ``groups`` the model has a second head that only training uses: the adversary.
    """

    def __init__(self, encoder: nn.Module, hidden: int, classes: int, seed: int, groups: int = 0) -> None:
        super().__init__(encoder, hidden, classes, seed)
        self.adversary = new_head(hidden, groups, seed, "adversary") if groups else None

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, classes) of token ids (B, T)."""
        logits: torch.Tensor = self.head(self.pooled(ids, mask))
        return logits


class Classification(HeadedTask):
    """Learn to give each text one label of a public set."""

    outcome_type = ClassOutcome
    baselines = ("trivial", "private_head", "frozen_probe")
    probes = frozenset({"robustness", "swaps", "backdoor", "groups", "forgetting"})

    def __init__(self, config: RunConfig, base: LoadedModel) -> None:
        super().__init__(config, base)
        self.adversary = config.adversary
        self.head_start = config.task.head_start

    def build(self, base: LoadedModel, seed: int) -> nn.Module:
        """Return the encoder with its adapter and new heads, float32, on the base's device."""
        groups = len(self.adversary.groups) if self.adversary else 0
        hidden = base.network.config.hidden_size
        model = MeanPoolingClassifier(self.adapted(base, seed), hidden, len(self.labels), seed, groups)
        for head in (model.head, model.adversary):
            if head is not None:
                head.to(base.device)
        return model

    def start(self, model: nn.Module) -> AdapterState:
        """Return the trained tensors before training, with the head that ``task.head_start`` names."""
        untrained = read_adapter(model)
        if self.head_start == "random":
            return untrained
        weight, bias = head_of_names(self.embed_names(model))
        return AdapterState({**untrained.arrays, "head.weight": weight, "head.bias": bias})

    def embed_names(self, model: nn.Module) -> npt.NDArray[np.float32]:
        """Return the base model's embedding of each label's name, (classes, hidden)."""
        device, rows = next(model.parameters()).device, []
        for ids in self.token_ids([_NOT_A_WORD.sub(" ", label) for label in self.labels]):
            batch = collate([Example(np.asarray(ids, dtype=np.int64), 0)], 0, device)
            rows.append(base_embedding(model, batch)[0].cpu().numpy())  # one by one, so that no name is padded
        return np.stack(rows)

    def encode(self, records: Sequence[Record]) -> list[Example]:
        """Return texts as token ids, and labels and declared groups as numbers."""
        if not records:
            return []
        index = {label: number for number, label in enumerate(self.labels)}
        groups = [self.adversary.number(record.group) if self.adversary else NO_GROUP for record in records]
        return [
            Example(np.asarray(row, dtype=np.int64), index[record.label or ""], group)
            for row, record, group in zip(self.token_ids([r.fields["text"] for r in records]), records, groups, strict=True)
        ]

    def losses(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy of each record, (B,)."""
        return F.cross_entropy(model(batch.ids, batch.mask), batch.targets, reduction="none")

    def training_losses(self, model: nn.Module, batch: Batch, distillation: float) -> torch.Tensor:
        """Return the cross-entropy of each record plus, if configured, the distance from the base and the adversary's loss.

        The distance is |e - e0|^2 / |e0|^2 for the embeddings e of the tuned and e0 of the base model. Embeddings are
        compared instead of predictions, because the base model has no trained head.
        """
        assert isinstance(model, MeanPoolingClassifier)  # noqa: S101  what build() made
        taught = base_embedding(model, batch) if distillation else None
        pooled = model.pooled(batch.ids, batch.mask)  # (B, hidden)
        losses = F.cross_entropy(model.head(pooled), batch.targets, reduction="none")
        if taught is not None:
            losses = losses + distillation * (pooled - taught).square().sum(dim=1) / taught.square().sum(dim=1)
        if model.adversary is not None and self.adversary is not None and batch.groups is not None:
            losses = losses + adversarial_losses(model.adversary, pooled, batch.groups, self.adversary.weight)
        return losses

    def outcome(self, model: nn.Module, batch: Batch) -> ClassOutcome:
        """Return true and predicted class of each record, and the probability of each class."""
        probabilities = model(batch.ids, batch.mask).double().softmax(dim=1).cpu().numpy()
        truth = batch.targets.cpu().numpy()
        return ClassOutcome(
            labels=self.labels, truth=truth, predicted=probabilities.argmax(axis=1), probabilities=probabilities
        )

    def answer(self, learner: Learner, text: str, max_new_tokens: int) -> str:
        """Return the label of a text."""
        return self.labels[int(self._logits(learner, text)[1].argmax())]

    def whole_text(self, ids: npt.NDArray[np.int64]) -> Example:
        """Return the text with the first class, which is not used."""
        return Example(ids, 0)

    def trivial(self, training: Sequence[Example], examples: Sequence[Example]) -> Trivial:
        """Return the outcome of always giving the most frequent training label."""
        commonest = np.bincount([int(example.target) for example in training]).argmax()
        truth = _truth(examples)
        outcome = ClassOutcome(labels=self.labels, truth=truth, predicted=np.full_like(truth, commonest))
        return Trivial("majority class", "always the most frequent training label", outcome)

    def untrained(self, learner: Learner, examples: Sequence[Example], max_tokens: int) -> ClassOutcome:
        """Return for each text the label whose name is nearest, by the cosine of the base encoder's embeddings."""
        names = self.encode([Record({"text": label}, label) for label in self.labels])
        states = torch.from_numpy(embed(learner, [*names, *examples], None, max_tokens))
        states = F.normalize(states, dim=1)
        nearest = (states[len(names) :] @ states[: len(names)].T).argmax(dim=1)
        return ClassOutcome(labels=self.labels, truth=_truth(examples), predicted=nearest.numpy())

    def reading(self, learner: Learner, text: str, max_new_tokens: int) -> Reading:
        """Return the text with the logit of the label that the model gives it."""
        ids, logits = self._logits(learner, text)
        label = int(logits.argmax())
        encoded = self.tokenizer(text, truncation=True, max_length=self.max_length, return_special_tokens_mask=True)
        own = ~torch.tensor(encoded["special_tokens_mask"], dtype=torch.bool, device=ids.device)

        def logit(rows: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return learner.model(rows, mask)[:, label]  # type: ignore[no-any-return]

        return Reading(ids, own, logit, self.labels[label], "logit of the label")

    def _logits(self, learner: Learner, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the token ids (T,) of a text and its logits (classes,)."""
        ids = torch.tensor(self.token_ids([text])[0], device=learner.base.device)
        learner.model.eval()
        with torch.no_grad():
            return ids, learner.model(ids[None], torch.ones_like(ids[None]))[0]


def head_of_names(names: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return weight (classes, hidden) and bias (classes,) of a head that prefers the label with the most similar name.

    For the embeddings n_k of the names and their mean m, the logit of class k for a text's embedding e is u_k (e - m), where
    u_k is n_k - m at length 1. A name that equals the mean has logit 0.

    Parameters
    ----------
    names
        Embedding of each label's name, (classes, hidden).
    """
    apart = names - names.mean(axis=0)
    length = np.linalg.norm(apart, axis=1, keepdims=True)
    weight = np.divide(apart, length, out=np.zeros_like(apart), where=length > 0)
    return weight, -(weight @ names.mean(axis=0))


def base_embedding(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return the base model's own embeddings, (B, hidden), without gradients."""
    with torch.no_grad(), base_only(model):
        return headed(model).pooled(batch.ids, batch.mask)


def _truth(examples: Sequence[Example]) -> Ints:
    return np.array([example.target for example in examples], dtype=np.int64)
