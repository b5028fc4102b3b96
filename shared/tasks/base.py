"""Define the interface of a task: how records become tensors, what the model learns from them, how it is measured."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from shared.adapters.peft import read_adapter
from shared.adapters.state import AdapterState
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

    Attributes
    ----------
    ids
        Token ids, (T,).
    own
        True for the tokens of the text itself, (T,).
    output
        Function of ids and mask, both (B, T), that returns the explained value of each row, (B,).
    answer
        The model's answer.
    measure
        Name of the explained value.
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
    """Further methods of a task whose answers are free text."""

    def answers(self, model: nn.Module, examples: Sequence[Example], max_new_tokens: int) -> list[str]:
        """Return the model's greedy response to the prompt of each example."""

    def replies(self, model: nn.Module, instructions: Sequence[str], max_new_tokens: int) -> list[str]:
        """Return the model's greedy response to each instruction."""

    def converse(self, model: nn.Module, messages: Sequence[Mapping[str, str]], max_new_tokens: int) -> str:
        """Return the model's greedy response to a conversation, whose messages have a ``role`` and a ``content``."""

    def reference(self, example: Example) -> str:
        """Return the example's own response, without what was cut off in encoding."""


class Task(ABC):
    """How records become tensors, what the model learns from them, and how it is measured; one subclass for each task.

    Methods with a default are optional. In all methods, ``model`` is the model that ``build`` made, in training with hooks
    for per-record gradients; ``learner`` is the task with that model; ``batch`` holds B encoded records; ``text`` is a text
    that is not anonymised; ``max_new_tokens`` is the length of the longest generated answer, in tokens.

    Attributes
    ----------
    kind
        Kind of the base model.
    outcome_type
        Class of the task's outcomes.
    baselines
        Rows of ``simulations.studies.baselines.BASELINES`` that a simulation computes in addition to the run.
    probes
        Probes of ``server.probes`` that make sense for the task.
    embeds
        Whether ``embed`` is defined.
    max_length
        Most tokens of a record.
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
            The run's seed, which determines the initial values of the trained tensors.
        """

    def start(self, model: nn.Module) -> AdapterState:
        """Return the trained tensors before training, by default as ``build`` made them; the model stays as it is."""
        return read_adapter(model)

    @abstractmethod
    def encode(self, records: Sequence[Record]) -> list[Example]:
        """Return scrubbed records as token ids and targets, cut to the configured length."""

    @abstractmethod
    def losses(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return each record's own loss, (B,); no record's loss may depend on another record."""

    @abstractmethod
    def training_losses(self, model: nn.Module, batch: Batch, distillation: float) -> torch.Tensor:
        """Return the losses that training minimises, (B,): each record's own loss plus the terms that the config adds.

        ``distillation`` is the weight of the distance between the model and the base model; 0 leaves the distance out.
        """

    @abstractmethod
    def outcome(self, model: nn.Module, batch: Batch) -> Outcome:
        """Return the model's outcome on a batch, without gradients."""

    @abstractmethod
    def save(self, model: nn.Module, folder: Path) -> None:
        """Write the adapter in PEFT's format into a folder that exists, and a head next to it if there is one."""

    @abstractmethod
    def restore(self, model: nn.Module, folder: Path) -> None:
        """Set a model from the folder of a saved adapter.

        Raises
        ------
        ModelError
            A file is missing, or of another run.
        """

    @abstractmethod
    def answer(self, learner: "Learner", text: str, max_new_tokens: int) -> str:
        """Return the model's answer to a text, in words."""

    @abstractmethod
    def whole_text(self, ids: npt.NDArray[np.int64]) -> Example:
        """Return an example for a public text of token ids (T,), which is no record, to measure how well it is predicted."""

    def encoder(self, model: nn.Module) -> Any:
        """Return the transformer of a model, without the task's head."""
        return model

    def embed(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return one embedding of each record, (B, hidden); only for a task that ``embeds``."""
        raise NotImplementedError

    def trivial(self, training: Sequence[Example], examples: Sequence[Example]) -> Trivial | None:
        """Return the outcome on ``examples`` of a simple rule learnt from ``training``; None if the task has no such rule.

        Parameters
        ----------
        training
            The encoded training records of all sites; only a simulation has them.
        examples
            The encoded test records.
        """
        return None

    def untrained(self, learner: "Learner", examples: Sequence[Example], max_tokens: int) -> Outcome | None:
        """Return the base model's outcome without any training; None if the untrained built model already gives it.

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
        """Return the text and the output that an explanation attributes to the text's tokens.

        Raises
        ------
        ConfigError
            The task has no single answer that could be explained.
        """
        raise ConfigError("task.name: the answers of this task cannot be explained; give an adapter of another task")

    @property
    def writer(self) -> Writer | None:
        """Return the methods for free text; None for a task whose answers are labels."""
        return None

    @staticmethod
    def loss_bytes(vocabulary: int) -> int:
        """Return the bytes that the loss takes in a step in addition to the model, for a vocabulary of this many tokens."""
        return 0


@dataclass(frozen=True)
class Learner:
    """A task with its model in memory: the frozen base, and the model with the trained tensors on it.

    ``may_pack`` is false where computing without padding was not exact; ``memory_share`` is the share of the device's free
    memory that this process may use.
    """

    base: LoadedModel
    task: Task
    model: nn.Module = field(repr=False)
    may_pack: bool = True
    memory_share: float = 1.0

    def tokens(self, training: TrainingSection) -> int:
        """Return the number of tokens to compute at once: the config's number, or as many as fit the free memory."""
        wanted = training.micro_batch_tokens
        if wanted != "auto":
            return wanted
        record: float = self.record_bytes
        if training.checkpointing:
            record = checkpointed_bytes(record, self.base.network.config, self.task.max_length, self.base.dtype.itemsize)
        free = int(self.memory_share * free_bytes(self.base.device))
        return affordable_tokens(record, self.task.max_length, free, self.base.device)

    @cached_property
    def record_bytes(self) -> int:
        """Return the bytes that one record of full length takes in a step, counted in one forward pass."""
        return record_bytes(self.base.network.base_model, self.task.max_length)

    @cached_property
    def packs(self) -> bool:
        """Return whether the model can compute a batch without its padding."""
        return self.may_pack and packs(self.base.network.base_model, self.base.device, self.base.dtype, packable)

    def padded(self, examples: Sequence[Example]) -> Batch:
        """Return examples as one padded batch on the model's device."""
        return collate(examples, self.base.tokenizer.pad_token_id or 0, self.base.device)

    @contextmanager
    def batch(self, examples: Sequence[Example]) -> Iterator[Batch]:
        """Yield examples as one batch; inside the block the model computes them without padding if it can."""
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
            Numbers of the examples to compute.
        max_tokens
            The most tokens of a micro-batch.
        """
        for units, batch in self.unit_batches(examples, [(index,) for index in indices], max_tokens):
            yield [index for (index,) in units], batch

    def unit_batches(
        self, examples: Sequence[Example], units: Sequence[Unit], max_tokens: int
    ) -> Iterator[tuple[list[Unit], Batch]]:
        """Yield units of rows in micro-batches that split no unit: the units and the tensors of their rows.

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
