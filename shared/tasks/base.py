"""What a task is: how records become tensors, what is learnt from them, and how it is measured."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from shared.adapters.families import packable
from shared.config.adversary import NO_GROUP
from shared.config.training import TrainingSection
from shared.metrics.bootstrap import Interval, Sums
from shared.models.device import to_device
from shared.models.load import Kind, LoadedModel
from shared.models.memory import affordable_tokens, checkpointed_bytes, free_bytes, record_bytes
from shared.models.packing import packed, packs
from shared.records.types import Record


@dataclass(frozen=True)
class Example:
    """One encoded record: token ids (T,) and its target, a class index or a response mask (T,).

    ``group`` is the number of its declared group, for an adversary; ``NO_GROUP`` where it has none or nothing asks.
    """

    ids: npt.NDArray[np.int64] = field(repr=False)
    target: int | npt.NDArray[np.bool_] = field(repr=False)
    group: int = field(repr=False, default=NO_GROUP)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Batch:
    """Padded examples on a device: ids and mask (B, T); targets (B,) class indices or (B, T) response mask; groups (B,)."""

    ids: torch.Tensor
    mask: torch.Tensor
    targets: torch.Tensor
    groups: torch.Tensor | None = None


@dataclass(frozen=True)
class Outcome:
    """What the model did on some examples, record by record; metrics and intervals are made from it.

    ``first`` and ``second`` are (N,): true and predicted class, or summed negative log-likelihood and tokens.
    ``probabilities`` are those of each class, (N, classes), where the model gives any.
    """

    first: npt.NDArray[np.float64]
    second: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64] | None = None

    def where(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "Outcome":
        """The outcome on some of the examples, by a mask or by indices."""
        given = self.probabilities
        return Outcome(self.first[chosen], self.second[chosen], None if given is None else given[chosen])

    @classmethod
    def joined(cls, parts: Sequence[tuple[Sequence[int], "Outcome"]]) -> "Outcome":
        """The outcome on N examples from that on batches of them, each with the examples' places in 0 to N - 1."""
        order = np.argsort([place for places, _ in parts for place in places])
        given = [part.probabilities for _, part in parts if part.probabilities is not None]
        first, second = (np.concatenate([getattr(part, name) for _, part in parts]) for name in ("first", "second"))
        return cls(first, second, np.concatenate(given) if given else None).where(order)


class Task(Protocol):
    """One kind of learning; two members exist, in ``TASKS``."""

    kind: Kind
    max_length: int

    def build(self, base: LoadedModel, seed: int) -> nn.Module:
        """The base model with what is trained on it."""

    def encode(self, records: Sequence[Record]) -> list[Example]:
        """Records to token ids and targets, cut to the configured length."""

    def losses(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Each record's own loss, shape (B,); no record's loss depends on another record."""

    def training_losses(self, model: nn.Module, batch: Batch, distillation: float) -> torch.Tensor:
        """What training lowers, (B,): each record's own loss and what the config adds to it, of that record alone.

        ``distillation`` weighs the distance from what the model says without its adapter.
        """

    def outcome(self, model: nn.Module, batch: Batch) -> Outcome:
        """What the model does on a batch, without gradients."""

    def metrics(self, outcome: Outcome, resamples: int, confidence: float, seed: int) -> Mapping[str, Interval]:
        """Metric name to value and bootstrap interval."""

    def chief(self, outcome: Outcome) -> Sums:
        """The first of the metrics as sums over records, so that two models can be compared record by record."""

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write the adapter in PEFT's format, and a head beside it if there is one."""

    def restore(self, model: nn.Module, folder: Path) -> None:
        """Set a built model from a saved adapter."""


Unit = Sequence[int]
# What a micro-batch costs beside its tokens, in tokens. CPU: some 20 operations a layer of about 30 us, at 3 tokens a ms
# (MiniLM) or less; a GPU computes more tokens in the time that it takes to be told what to do (a guess, not measured).
FIXED_COST: Mapping[str, int] = {"cpu": 128, "cuda": 2048, "mps": 1024}


def micro_batches(
    lengths: Sequence[int],
    units: Sequence[Unit],
    max_tokens: int,
    fixed_cost: int = FIXED_COST["cpu"],
    *,
    padded: bool = True,
) -> list[list[Unit]]:
    """Cut a batch into micro-batches of similar length, each of at most ``max_tokens`` tokens, at the least cost.

    A unit is one or more rows that stay together, even where they alone have more tokens. A micro-batch costs its tokens,
    with their padding or, where that is not computed, without, and ``fixed_cost`` more; over units in order of length, the
    cuts of the least total are found exactly. Sorting by length is a choice of order only: sums over units do not depend
    on it.
    """
    longest = [max(lengths[row] for row in unit) for unit in units]
    order = sorted(range(len(units)), key=lambda place: -longest[place])
    widths = longest if padded else [1] * len(units)  # tokens of each of what is counted: rows, or tokens themselves
    filled = np.cumsum([0, *(len(units[i]) if padded else sum(lengths[row] for row in units[i]) for i in order)])
    cost, start = np.full(len(order) + 1, np.inf), np.zeros(len(order) + 1, dtype=np.int64)
    cost[0] = 0.0
    for first, place in enumerate(order):  # micro-batches that begin here, by where they end
        last = int(np.searchsorted(filled, filled[first] + max_tokens // widths[place], side="right"))
        ends = np.arange(first + 1, max(last, first + 2))
        total = cost[first] + fixed_cost + (filled[ends] - filled[first]) * widths[place]
        better = ends[total < cost[ends]]
        cost[better], start[better] = total[better - first - 1], first
    groups, end = [], len(order)
    while end:
        groups.append([units[place] for place in order[start[end] : end]])
        end = int(start[end])
    return groups[::-1]


def collate(examples: Sequence[Example], pad: int, device: torch.device) -> Batch:
    """Pad examples to the longest of them, on the right."""
    width = max(len(example) for example in examples)
    ids = np.full((len(examples), width), pad, dtype=np.int64)
    mask = np.zeros((len(examples), width), dtype=np.int64)
    for row, example in enumerate(examples):
        ids[row, : len(example)] = example.ids
        mask[row, : len(example)] = 1
    targets = torch.from_numpy(_targets(examples, width))
    groups = torch.tensor([example.group for example in examples])
    return Batch(*(to_device(tensor, device) for tensor in (torch.from_numpy(ids), torch.from_numpy(mask), targets, groups)))


def _targets(examples: Sequence[Example], width: int) -> npt.NDArray[np.int64] | npt.NDArray[np.bool_]:
    if isinstance(examples[0].target, int):
        return np.array([example.target for example in examples], dtype=np.int64)
    rows = np.zeros((len(examples), width), dtype=np.bool_)
    for row, example in zip(rows, examples, strict=True):
        row[: len(example)] = example.target
    return rows


@dataclass(frozen=True)
class Learner:
    """A task with its model in memory: the frozen base, and what is trained on it."""

    base: LoadedModel
    task: Task
    model: nn.Module = field(repr=False)

    def tokens(self, training: TrainingSection) -> int:
        """The tokens that are computed at once: those of the config, or as many as the free memory affords."""
        asked = training.micro_batch_tokens
        if asked != "auto":
            return asked
        record: float = self.record_bytes
        if training.checkpointing:
            record = checkpointed_bytes(record, self.base.network.config, self.task.max_length, self.base.dtype.itemsize)
        return affordable_tokens(record, self.task.max_length, free_bytes(self.base.device), self.base.device)

    @cached_property
    def record_bytes(self) -> int:
        """What one record of full length takes in a step, by a forward pass that is counted once."""
        return record_bytes(self.base.network.base_model, self.task.max_length)

    @cached_property
    def packs(self) -> bool:
        """Whether the model computes a batch without its padding."""
        return packs(self.base.network.base_model, self.base.device, self.base.dtype, packable)

    def padded(self, examples: Sequence[Example]) -> Batch:
        """Some examples as one batch on the model's device."""
        return collate(examples, self.base.tokenizer.pad_token_id or 0, self.base.device)

    @contextmanager
    def batch(self, examples: Sequence[Example]) -> Iterator[Batch]:
        """The same, and until the block ends the model computes it without its padding, where it can."""
        network = self.base.network.base_model
        with packed(network, [len(example) for example in examples]) if self.packs else nullcontext():
            yield self.padded(examples)

    def batches(
        self, examples: Sequence[Example], indices: Sequence[int], max_tokens: int
    ) -> Iterator[tuple[list[int], Batch]]:
        """Cut the chosen examples into micro-batches, each as ``batch`` gives it; yields their indices and tensors."""
        for units, batch in self.unit_batches(examples, [(index,) for index in indices], max_tokens):
            yield [index for (index,) in units], batch

    def unit_batches(
        self, examples: Sequence[Example], units: Sequence[Unit], max_tokens: int
    ) -> Iterator[tuple[list[Unit], Batch]]:
        """The same for units of several rows, which are never cut; yields whole units and the tensors of their rows."""
        lengths, device = [len(example) for example in examples], self.base.device.type
        padded = (
            not self.packs or device != "cpu"
        )  # there gradients by record are made with the padding (shared/models/batch_layout.py)
        for chosen in micro_batches(lengths, units, max_tokens, FIXED_COST[device], padded=padded):
            with self.batch([examples[row] for unit in chosen for row in unit]) as batch:
                yield chosen, batch
