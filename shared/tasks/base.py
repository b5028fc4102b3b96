"""The base class of a task: how records become tensors, what is learnt from them, and how it is measured."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from shared.adapters.families import packable
from shared.config.run import RunConfig
from shared.config.training import TrainingSection
from shared.errors import ConfigError
from shared.models.load import Kind, LoadedModel
from shared.models.memory import affordable_tokens, checkpointed_bytes, free_bytes, record_bytes
from shared.models.packing import packed, packs
from shared.records.types import Record
from shared.tasks.examples import Batch, Example, collate
from shared.tasks.micro_batches import FIXED_COST, Unit, micro_batches
from shared.tasks.outcome import Outcome


@dataclass(frozen=True)
class Reading:
    """A text as the model reads it, and the output that an explanation attributes to its tokens.

    ``ids`` (T,) are token ids, ``own`` (T,) marks the tokens of the text itself, ``output`` takes ids and mask (B, T) to a
    value for each row (B,), ``answer`` is the model's answer and ``measure`` names the value.
    """

    ids: torch.Tensor
    own: torch.Tensor
    output: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = field(repr=False)
    answer: str
    measure: str


@dataclass(frozen=True)
class Trivial:
    """A baseline that needs no model: its name, a note on it, and its outcome."""

    name: str
    note: str
    outcome: Outcome = field(repr=False)


class Writer(Protocol):
    """The part of a task whose answers are free text."""

    def answers(self, model: nn.Module, examples: Sequence[Example], max_new_tokens: int) -> list[str]:
        """Return the model's greedy response to the prompt of each example."""

    def replies(self, model: nn.Module, instructions: Sequence[str], max_new_tokens: int) -> list[str]:
        """Return the model's greedy response to each instruction."""

    def reference(self, example: Example) -> str:
        """Return the example's own response, as far as it was encoded."""


class Task(ABC):
    """How records become tensors, what the model learns from them, and how it is measured; one subclass a task.

    What has a default here is a part that not every task has. ``kind`` is the kind of base model. ``baselines`` names the
    rows of ``simulations.studies.baselines.BASELINES`` that a simulation computes beside the run, and ``probes`` the probes
    of ``server.probes`` that make sense for the task.
    """

    kind: ClassVar[Kind]
    outcome_type: ClassVar[type[Outcome]]
    baselines: ClassVar[tuple[str, ...]] = ()
    probes: ClassVar[frozenset[str]] = frozenset()
    embeds: ClassVar[bool] = False
    max_length: int

    @abstractmethod
    def __init__(self, config: RunConfig, base: LoadedModel) -> None: ...

    @abstractmethod
    def build(self, base: LoadedModel, seed: int) -> nn.Module:
        """Return the base model with the tensors that are trained on it.

        Parameters
        ----------
        base
            The base model in memory, or only its shapes.
        seed
            The run's seed, from which the first values of the trained tensors follow.
        """

    @abstractmethod
    def encode(self, records: Sequence[Record]) -> list[Example]:
        """Return the records as token ids and targets, cut to the configured length.

        Parameters
        ----------
        records
            Scrubbed records.
        """

    @abstractmethod
    def losses(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return each record's own loss, (B,); no record's loss may depend on another record.

        Parameters
        ----------
        model
            The model that ``build`` made, or that model with hooks for per-record gradients.
        batch
            B encoded records.
        """

    @abstractmethod
    def training_losses(self, model: nn.Module, batch: Batch, distillation: float) -> torch.Tensor:
        """Return what training lowers, (B,): each record's own loss and what the config adds to it, of that record only.

        Parameters
        ----------
        model
            The model that ``build`` made, or that model with hooks for per-record gradients.
        batch
            B encoded records.
        distillation
            Weight of the distance from what the model says without its adapter; 0 leaves the distance out.
        """

    @abstractmethod
    def outcome(self, model: nn.Module, batch: Batch) -> Outcome:
        """Return what the model does on a batch, without gradients.

        Parameters
        ----------
        model
            The model that ``build`` made.
        batch
            B encoded records.
        """

    @abstractmethod
    def save(self, model: nn.Module, folder: Path) -> None:
        """Write the adapter in PEFT's format, and a head next to it if there is one.

        Parameters
        ----------
        model
            The model that ``build`` made.
        folder
            A folder that exists.
        """

    @abstractmethod
    def restore(self, model: nn.Module, folder: Path) -> None:
        """Set a built model from a saved adapter.

        Parameters
        ----------
        model
            The model that ``build`` made.
        folder
            The adapter's folder.

        Raises
        ------
        ModelError
            A file is missing, or of another run.
        """

    @abstractmethod
    def answer(self, learner: "Learner", text: str, max_new_tokens: int) -> str:
        """Return the model's answer to a text, in words.

        Parameters
        ----------
        learner
            The task with its model.
        text
            The text; it is not anonymised.
        max_new_tokens
            The longest generated answer, in tokens.
        """

    @abstractmethod
    def whole_text(self, ids: npt.NDArray[np.int64]) -> Example:
        """Return an example for a text that is no record, to see how well the model reads it.

        Parameters
        ----------
        ids
            The token ids of the text, (T,).
        """

    def encoder(self, model: nn.Module) -> Any:
        """Return the transformer of a built model, without the task's head.

        Parameters
        ----------
        model
            The model that ``build`` made.
        """
        return model

    def embed(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return one embedding of each record, (B, hidden), of a task that ``embeds``.

        Parameters
        ----------
        model
            The model that ``build`` made.
        batch
            B encoded records.
        """
        raise NotImplementedError

    def trivial(self, training: Sequence[Example], examples: Sequence[Example]) -> Trivial | None:
        """Return the outcome on ``examples`` of a rule that needs no model, learnt from ``training``; None without one.

        Parameters
        ----------
        training
            The encoded training records of all sites; only a simulation has them.
        examples
            The encoded test records.
        """
        return None

    def untrained(self, learner: "Learner", examples: Sequence[Example], max_tokens: int) -> Outcome | None:
        """Return what the base model does without any training; None where that is the built model's own outcome.

        Parameters
        ----------
        learner
            The task with its untrained model.
        examples
            The encoded test records.
        max_tokens
            The most tokens of a micro-batch.
        """
        return None

    def reading(self, learner: "Learner", text: str, max_new_tokens: int) -> Reading:
        """Return the text and the output that an explanation is about.

        Parameters
        ----------
        learner
            The task with its model.
        text
            The text; it is not anonymised.
        max_new_tokens
            The longest generated answer, in tokens.

        Raises
        ------
        ConfigError
            The task has no single answer that could be explained.
        """
        raise ConfigError("task.name: the answers of this task cannot be explained; give an adapter of another task")

    @property
    def writer(self) -> Writer | None:
        """The part that writes free text; None for a task whose answers are labels."""
        return None

    @staticmethod
    def loss_bytes(vocabulary: int) -> int:
        """Return the bytes that the loss takes in a step besides the model.

        Parameters
        ----------
        vocabulary
            The number of tokens in the model's vocabulary.
        """
        return 0


@dataclass(frozen=True)
class Learner:
    """A task with its model in memory: the frozen base, and the model with the trained tensors on it."""

    base: LoadedModel
    task: Task
    model: nn.Module = field(repr=False)

    def tokens(self, training: TrainingSection) -> int:
        """Return how many tokens are computed at once: the config's number, or as many as the free memory affords.

        Parameters
        ----------
        training
            The run's ``training`` section.
        """
        asked = training.micro_batch_tokens
        if asked != "auto":
            return asked
        record: float = self.record_bytes
        if training.checkpointing:
            record = checkpointed_bytes(record, self.base.network.config, self.task.max_length, self.base.dtype.itemsize)
        return affordable_tokens(record, self.task.max_length, free_bytes(self.base.device), self.base.device)

    @cached_property
    def record_bytes(self) -> int:
        """The bytes that one record of full length takes in a step, counted in one forward pass."""
        return record_bytes(self.base.network.base_model, self.task.max_length)

    @cached_property
    def packs(self) -> bool:
        """Whether the model computes a batch without its padding."""
        return packs(self.base.network.base_model, self.base.device, self.base.dtype, packable)

    def padded(self, examples: Sequence[Example]) -> Batch:
        """Return examples as one padded batch on the model's device.

        Parameters
        ----------
        examples
            One or more encoded records.
        """
        return collate(examples, self.base.tokenizer.pad_token_id or 0, self.base.device)

    @contextmanager
    def batch(self, examples: Sequence[Example]) -> Iterator[Batch]:
        """Yield examples as one batch; inside the block the model computes them without padding, where it can.

        Parameters
        ----------
        examples
            One or more encoded records.
        """
        network = self.base.network.base_model
        with packed(network, [len(example) for example in examples]) if self.packs else nullcontext():
            yield self.padded(examples)

    def batches(
        self, examples: Sequence[Example], indices: Sequence[int], max_tokens: int
    ) -> Iterator[tuple[list[int], Batch]]:
        """Yield the chosen examples in micro-batches: their indices and their tensors, as ``batch`` gives them.

        Parameters
        ----------
        examples
            All encoded records.
        indices
            Which of them to compute.
        max_tokens
            The most tokens of a micro-batch.
        """
        for units, batch in self.unit_batches(examples, [(index,) for index in indices], max_tokens):
            yield [index for (index,) in units], batch

    def unit_batches(
        self, examples: Sequence[Example], units: Sequence[Unit], max_tokens: int
    ) -> Iterator[tuple[list[Unit], Batch]]:
        """Yield units of rows in micro-batches that cut no unit: the units and the tensors of their rows.

        Parameters
        ----------
        examples
            All encoded records.
        units
            The rows of each unit.
        max_tokens
            The most tokens of a micro-batch.
        """
        lengths, device = [len(example) for example in examples], self.base.device.type
        # On a GPU per-record gradients are computed with the padding (shared/models/batch_layout.py).
        padded = not self.packs or device != "cpu"
        for chosen in micro_batches(lengths, units, max_tokens, FIXED_COST[device], padded=padded):
            with self.batch([examples[row] for unit in chosen for row in unit]) as batch:
                yield chosen, batch
