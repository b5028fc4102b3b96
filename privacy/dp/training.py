"""Train any model of yours with DP-SGD: Poisson batches, a private step, and a plan that accounts for both.

The training cannot deviate from the plan: a step accepts only the batch that was drawn last, once, and there are as many
batches as the plan has steps.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, default_collate

from privacy.dp.engine import make_private as private_model
from privacy.dp.entropy import uniforms
from privacy.dp.plan import PrivacyPlan
from privacy.dp.rounding import PER_ROOT, base_dtype
from privacy.dp.sampling import poisson_batches
from privacy.dp.selfcheck import refuse_inexact, refuse_rounding
from shared.errors import PrivacyError

CHECKED = 4  # records whose gradients are compared with a one-record loop before training
MARK = "_trained_under_a_privacy_plan"  # attribute of a model that make_private has taken before
REMEDY = "pass a tuple of tensors or a map-style data set, with one item for each record"

Losses = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Batch:
    """A Poisson sample of the records for one step; its repr shows neither the records nor how many there are."""

    rows: tuple[int, ...] = field(repr=False)
    number: int


class PoissonBatches:
    """The batches of a plan: each record is in each batch with the plan's sampling rate, independently of all others.

    Parameters
    ----------
    records
        Number of records.
    plan
        Gives the sampling rate and the number of batches.
    """

    def __init__(self, records: int, plan: PrivacyPlan) -> None:
        self.steps = plan.rounds * plan.steps_per_round
        self.current: Batch | None = None
        self._drawn = 0
        self._source = poisson_batches(records, plan.sampling_rate, self.steps, uniforms)

    def __len__(self) -> int:
        """Return the number of batches that are left."""
        return self.steps - self._drawn

    def __iter__(self) -> Iterator[Batch]:
        """Return the batches that are left; a second pass is refused."""
        if not len(self):
            raise PrivacyError(
                f"all {self.steps} steps of the plan are taken, and more would spend more than it says; make a plan with "
                "more steps before you train"
            )
        return self

    def __next__(self) -> Batch:
        """Draw the next batch."""
        if self.current is not None:
            raise PrivacyError(
                "a batch was drawn and not stepped on; call step(batch) for each batch, also for an empty one, because "
                "leaving batches out depends on the records"
            )
        rows = next(self._source)
        self.current = Batch(tuple(rows.tolist()), self._drawn)
        self._drawn += 1
        return self.current

    def take(self, batch: object) -> Batch:
        """Hand over the batch that was drawn last, once.

        Raises
        ------
        PrivacyError
            The argument is any other object: another loader's batch, a batch that was used before, or data.
        """
        if not isinstance(batch, Batch) or batch is not self.current:
            raise PrivacyError(
                "step: this is not the batch that was drawn last; take batches from make_private only, and step on each "
                "once, because the plan accounts for Poisson samples and for nothing else"
            )
        self.current = None
        return batch


class PrivateTraining:
    """One DP-SGD step at a time: per-record gradients, clip, noise, and the caller's optimiser (see `make_private`)."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        plan: PrivacyPlan,
        data: Dataset[Any],
        losses: Losses,
        batches: PoissonBatches,
        at_once: int,
    ) -> None:
        self._model, self._optimizer, self._plan = model, optimizer, plan
        self._data, self._losses, self._batches, self._at_once = data, losses, batches, at_once
        self._check(len(data))  # type: ignore[arg-type]  # make_private refuses data without a length
        self._versions, self._failed = self._tensor_versions(), False

    def __call__(self, batch: Batch) -> None:
        """Take one step of the plan.

        Parameters
        ----------
        batch
            The batch that was drawn last. An empty one is a step too: it adds noise.

        Raises
        ------
        PrivacyError
            The batch is not the one that was drawn last, the model was changed between steps, the losses are not one for
            each record, or an earlier step failed.
        """
        if self._failed:
            raise PrivacyError(
                "an earlier step failed halfway, and the plan does not cover a step that is left out because of records; "
                "start from a new model (a smaller at_once takes less memory)"
            )
        if self._tensor_versions() != self._versions:
            raise PrivacyError(
                "the model was changed between private steps (an optimizer.step() of your own, or loaded weights), which "
                "the plan does not account for; let step(batch) do all of the training"
            )
        rows = self._batches.take(batch).rows
        self._failed = True  # until the step is done
        self._model.train()
        self._optimizer.zero_grad()  # a gradient left on a frozen tensor would be applied without noise
        with (
            private_model(self._model, self._optimizer, self._plan, self._plan.expected_batch) as (model, step),
            _secret_seed(),
        ):
            for start in range(0, len(rows), self._at_once):
                chosen = rows[start : start + self._at_once]
                torch.autograd.backward(self._losses_of(model, chosen).sum())
                step.accumulate(chosen)
            step.finish()
        self._versions, self._failed = self._tensor_versions(), False

    def _losses_of(self, model: nn.Module, rows: Sequence[int]) -> torch.Tensor:
        """Return each record's loss, (n,)."""
        device = next(model.parameters()).device
        inputs = default_collate([self._data[row] for row in rows])
        parts = inputs if isinstance(inputs, list | tuple) else (inputs,)
        found = self._losses(model, *(part.to(device) if isinstance(part, torch.Tensor) else part for part in parts))
        if not isinstance(found, torch.Tensor) or found.shape != (len(rows),):
            shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise PrivacyError(
                f"losses: returned {shape} for {len(rows)} records; return one loss a record, such as "
                "cross_entropy(model(x), y, reduction='none')"
            )
        return found

    def _check(self, records: int) -> None:
        """Refuse a model with inexact per-record gradients, or with layers that keep statistics of the records."""
        kept = {name: buffer.clone() for name, buffer in self._model.named_buffers()}
        training = self._model.training
        count = min(CHECKED, records)
        try:
            with _secret_seed():
                refuse_inexact(self._model, self._losses_of, count)
                refuse_rounding(self._model, self._losses_of, count, PER_ROOT[base_dtype(self._model)])
            changed = [name for name, buffer in self._model.named_buffers() if not torch.equal(buffer, kept[name])]
        finally:
            self._model.train(training)
            for name, buffer in self._model.named_buffers():
                buffer.data.copy_(kept[name])
        if changed:
            raise PrivacyError(
                f"{changed[0]}: this layer keeps statistics of the records, which no noise covers; use a layer without "
                "them, such as GroupNorm or LayerNorm"
            )

    def _tensor_versions(self) -> list[int]:
        """Return how often each tensor of the model was changed in place."""
        return [tensor._version for tensor in (*self._model.parameters(), *self._model.buffers())]


def make_private(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    plan: PrivacyPlan,
    data: Dataset[Any] | Sequence[torch.Tensor],
    losses: Losses,
    at_once: int = 1024,
) -> tuple[nn.Module, PrivateTraining, PoissonBatches]:
    """Train a model of your own under a privacy plan.

    Formal guarantee: the weights after all steps, and after each of them, are (``plan.epsilon()``, ``plan.target_delta``)
    differentially private for adding or removing one record of ``data`` (DP-SGD, Abadi et al. 2016, arXiv 1607.00133),
    provided that the batches stay secret and nothing else that is computed from the records is published: no training
    loss, no choice of settings by several runs on the same records. Runs add up: `Accountant` composes their plans.

    Parameters
    ----------
    model
        Any module in which no layer mixes records, as batch normalisation does. It is trained in place.
    optimizer
        Any optimiser of ``torch.optim`` over the model's parameters. Do not call its ``step``.
    plan
        Plan of the whole training, from `PrivacyPlan.of`.
    data
        A tuple of tensors with one row for each record, or a map-style data set with one item for each record.
    losses
        ``losses(model, *item_parts)`` returns one loss for each record of a batch, (n,).
    at_once
        Number of records whose gradients are in memory at once; apart from rounding it does not change the result.

    Returns
    -------
    nn.Module
        The same model.
    PrivateTraining
        ``step(batch)`` takes one step.
    PoissonBatches
        The batches, as many as the plan has steps.

    Raises
    ------
    PrivacyError
        The guarantee would not hold; the message names the remedy.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from hushtune import PrivacyPlan, make_private
    >>> x = torch.randn(500, 8)
    >>> y = (x[:, 0] > 0).long()
    >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> plan = PrivacyPlan.of(declared_size=500, sampling_rate=0.1, steps=20, epsilon=3.0, clipping_norm=1.0)
    >>> def losses(model, x, y):
    ...     return nn.functional.cross_entropy(model(x), y, reduction="none")
    >>> model, step, batches = make_private(model, optimizer, plan, (x, y), losses)
    >>> for batch in batches:
    ...     step(batch)
    >>> plan.epsilon() <= 3.0
    True
    """
    records = _records(data, plan)
    _refuse_mistakes(model, optimizer, plan, at_once)
    batches = PoissonBatches(len(records), plan)  # type: ignore[arg-type]
    training = PrivateTraining(model, optimizer, plan, records, losses, batches, at_once)
    vars(model)[MARK] = True
    return model, training, batches


def _records(data: object, plan: object) -> Dataset[Any]:
    """Return the records as a data set with a length; refuse data or a plan that do not fit `make_private`."""
    if not isinstance(plan, PrivacyPlan) or (plan.unit, plan.trust) != ("record", "local"):
        raise PrivacyError("plan: make_private needs a plan for records; make it with PrivacyPlan.of")
    if isinstance(data, DataLoader | IterableDataset):
        raise PrivacyError(
            f"data: a {type(data).__name__} cuts batches of its own, and the plan accounts for Poisson samples; {REMEDY}"
        )
    if isinstance(data, Sequence) and data and all(isinstance(part, torch.Tensor) for part in data):
        if len({len(part) for part in data}) != 1:
            raise PrivacyError(f"data: the tensors have different numbers of rows; {REMEDY}")
        data = TensorDataset(*data)
    if not isinstance(data, Dataset) or not hasattr(data, "__len__"):
        raise PrivacyError(f"data: a {type(data).__name__} is not a data set; {REMEDY}")
    if not plan.declared_size / 2 <= len(data) <= plan.declared_size * 2:
        raise PrivacyError(
            f"data: {len(data)} records, and the plan divides by an expected batch of {plan.expected_batch:g} of "
            f"{plan.declared_size}; set declared_size near the number of records"
        )
    return data


def _refuse_mistakes(model: nn.Module, optimizer: torch.optim.Optimizer, plan: PrivacyPlan, at_once: int) -> None:
    if at_once < 1:
        raise PrivacyError(f"at_once = {at_once}: must be at least 1")
    if MARK in vars(model):
        raise PrivacyError(
            "model: it was trained under a plan before, and a second call would spend again; plan all steps in one call, or "
            "start from a new model and add both plans up with Accountant"
        )
    mixing = [name for name, module in model.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if mixing:
        raise PrivacyError(
            f"{mixing[0] or 'model'}: batch normalisation mixes records, so no record's influence is bounded; use GroupNorm "
            "or LayerNorm"
        )
    trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    optimised = {id(p) for group in optimizer.param_groups for p in group["params"] if p.requires_grad}
    if not optimised or not optimised <= trained:
        raise PrivacyError(
            "optimizer: it must hold trained parameters of this model and no others; make it from model.parameters()"
        )


@contextmanager
def _secret_seed() -> Iterator[None]:
    """Draw random numbers such as dropout masks from a secret seed.

    With a public seed, one more record would change the masks of the other records in a way that everybody could compute.
    """
    with torch.random.fork_rng():
        torch.manual_seed(secrets.randbits(63))
        yield
