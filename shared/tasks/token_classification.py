"""Define the task token classification: an encoder with a linear head on each token state, trained on BIO tags."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from shared.adapters.peft import base_only
from shared.metrics.bootstrap import Floats, Interval, Ints, Sums
from shared.metrics.spans import bio_spans, span_sums
from shared.models.load import LoadedModel
from shared.records.types import Record, Span
from shared.tasks.base import Learner, Trivial
from shared.tasks.examples import NO_CLASS, Batch, Example
from shared.tasks.head import HeadedEncoder, HeadedTask, headed
from shared.tasks.outcome import Outcome


@dataclass(frozen=True, kw_only=True)
class SpanOutcome(Outcome):
    """Numbers of spans in each record by label, (N, labels): found exactly, predicted, and true."""

    hits: Floats = field(repr=False)
    predicted: Floats = field(repr=False)
    true: Floats = field(repr=False)

    def primary(self) -> Sums:
        """Return the F1 of spans of all labels together."""
        return self._sums()[0]

    def damage(self) -> Floats:
        """Return the number of missed and of wrongly predicted spans of each record."""
        return np.asarray((self.predicted + self.true - 2 * self.hits).sum(axis=1))

    def metrics(self, resamples: int, confidence: float, seed: int) -> Mapping[str, Interval]:
        """Return F1, precision and recall of spans."""
        return {each.name: each.interval(resamples, confidence, seed) for each in self._sums()}

    def breakdown(self, resamples: int, confidence: float, seed: int) -> dict[str, Any]:
        """Return precision, recall and F1 of the spans of each label."""
        rows = []
        for place, label in enumerate(self.labels):
            scores = span_sums(self.hits[:, place], self.predicted[:, place], self.true[:, place])
            f1, precision, recall = (asdict(each.interval(resamples, confidence, seed)) for each in scores)
            row = {"label": label, "records": int(self.true[:, place].sum())}
            rows.append(row | {"precision": precision, "recall": recall, "f1": f1})
        return {"labels": list(self.labels), "counted": "Spans", "classes": rows, "confusion": [], "calibration": None}

    def _sums(self) -> list[Sums]:
        return span_sums(self.hits.sum(axis=1), self.predicted.sum(axis=1), self.true.sum(axis=1))


class TokenClassifier(HeadedEncoder):
    """An encoder whose token states go through a linear head."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, T, classes) of token ids (B, T)."""
        logits: torch.Tensor = self.head(self.states(ids, mask))
        return logits


class TokenClassification(HeadedTask):
    """Learn to find labelled spans in texts; the labels are public."""

    outcome_type = SpanOutcome
    baselines = ("trivial",)
    probes = frozenset({"groups", "forgetting"})  # the other probes change texts, so the tags would no longer fit

    @property
    def tags(self) -> list[str]:
        """Return the BIO tags, in the order of the classes."""
        return ["O", *(f"{mark}-{label}" for label in self.labels for mark in "BI")]

    def build(self, base: LoadedModel, seed: int) -> nn.Module:
        """Return the encoder with its adapter and a new head, float32, on the base's device."""
        model = TokenClassifier(self.adapted(base, seed), base.network.config.hidden_size, len(self.tags), seed)
        model.head.to(base.device)
        return model

    def encode(self, records: Sequence[Record]) -> list[Example]:
        """Return texts as token ids, and their tags as the class of each token; special tokens have no class."""
        return [self._example(record.fields["text"], record.tags) for record in records]

    def _example(self, text: str, tags: Sequence[Span]) -> Example:
        """Return a text with its classes: B for the first token of a span, I for its other tokens, O outside."""
        ids, places = self._tokens(text)
        target = np.full(len(ids), NO_CLASS, dtype=np.int64)
        target[[start < end for start, end in places]] = 0
        for tag in tags:
            inside = [n for n, (start, end) in enumerate(places) if start < tag.end and tag.start < end and target[n] == 0]
            for turn, token in enumerate(inside):
                target[token] = 1 + 2 * self.labels.index(tag.label) + min(turn, 1)
        return Example(ids, target)

    def _tokens(self, text: str) -> tuple[Ints, list[tuple[int, int]]]:
        """Return the token ids of a text and the characters of each; a special token has none."""
        found = self.tokenizer(text, truncation=True, max_length=self.max_length, return_offsets_mapping=True)
        return np.asarray(found["input_ids"], dtype=np.int64), list(found["offset_mapping"])

    def losses(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the mean cross-entropy of each record's own tokens, (B,)."""
        return _by_record(model(batch.ids, batch.mask), batch.targets)

    def training_losses(self, model: nn.Module, batch: Batch, distillation: float) -> torch.Tensor:
        """Return the losses plus each record's relative squared distance between its token states and the base model's."""
        taught = None
        if distillation:
            with torch.no_grad(), base_only(model):
                taught = headed(model).states(batch.ids, batch.mask)
        states, real = headed(model).states(batch.ids, batch.mask), batch.mask[:, :, None]
        losses = _by_record(headed(model).head(states), batch.targets)
        if taught is not None:
            moved = ((states - taught).square() * real).sum(dim=(1, 2))
            losses = losses + distillation * moved / (taught.square() * real).sum(dim=(1, 2))
        return losses

    def outcome(self, model: nn.Module, batch: Batch) -> SpanOutcome:
        """Return the numbers of found, predicted and true spans of each label in each record."""
        classes = model(batch.ids, batch.mask).argmax(dim=2).cpu().numpy()
        return self._outcome(list(classes), list(batch.targets.cpu().numpy()))

    def _outcome(self, predicted: Sequence[Ints], truth: Sequence[Ints]) -> SpanOutcome:
        """Return the outcome from the predicted and the true class of each token, record by record."""
        counts, tags = np.zeros((3, len(truth), len(self.labels))), self.tags
        for row, (given, target) in enumerate(zip(predicted, truth, strict=True)):
            own = target != NO_CLASS
            found, true = (bio_spans([tags[number] for number in side[own]]) for side in (given, target))
            for place, spans in enumerate((found & true, found, true)):
                for label, _, _ in spans:
                    counts[place, row, self.labels.index(label)] += 1
        return SpanOutcome(labels=self.labels, hits=counts[0], predicted=counts[1], true=counts[2])

    def answer(self, learner: Learner, text: str, max_new_tokens: int) -> str:
        """Return a line for each span that the model finds: its label, its characters and its text."""
        ids, places = self._tokens(text)
        row = torch.as_tensor(ids, device=learner.base.device)[None]
        learner.model.eval()
        with torch.no_grad():
            classes = learner.model(row, torch.ones_like(row))[0].argmax(dim=1).tolist()
        own = [(number, place) for number, place in zip(classes, places, strict=True) if place[0] < place[1]]
        spans = sorted(bio_spans([self.tags[number] for number, _ in own]), key=lambda span: span[1])
        ends = [(label, own[first][1][0], own[last - 1][1][1]) for label, first, last in spans]
        return "\n".join(f"{label} {start}-{end}: {text[start:end]}" for label, start, end in ends)

    def whole_text(self, ids: Ints) -> Example:
        """Return the text without classes."""
        return Example(ids, np.full(len(ids), NO_CLASS, dtype=np.int64))

    def trivial(self, training: Sequence[Example], examples: Sequence[Example]) -> Trivial:
        """Return the outcome of giving each token its most frequent training tag, and O to new tokens."""
        tokens, classes = (np.concatenate([getattr(e, name) for e in training]) for name in ("ids", "target"))
        size = max(int(tokens.max()), *(int(example.ids.max()) for example in examples)) + 1
        counts = np.zeros((size, len(self.tags)))
        np.add.at(counts, (tokens[classes != NO_CLASS], classes[classes != NO_CLASS]), 1)
        outcome = self._outcome([counts[e.ids].argmax(axis=1) for e in examples], [np.asarray(e.target) for e in examples])
        return Trivial("most frequent tag", "gives each token the tag that it has most often in training", outcome)


def _by_record(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of each record's own tokens, (B,), from logits (B, T, classes) and classes (B, T).

    A mean over the batch's tokens would couple records and void the bound on one record's gradient.
    """
    losses = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none", ignore_index=NO_CLASS)
    return losses.sum(dim=1) / (targets != NO_CLASS).sum(dim=1).clamp(min=1)
