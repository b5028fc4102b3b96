"""Train any model of yours with DP-SGD: Poisson batches, a private step, and a plan that accounts for both.

The training cannot deviate from the plan: a step accepts only the batch that was drawn last, once, and there are as many
batches as the plan has steps.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset, default_collate

from privacy.dp.engine import make_private as private_model
from privacy.dp.entropy import uniforms
from privacy.dp.mistakes import mark, records_of, refuse_mistakes, refuse_outsiders
from privacy.dp.plan import PrivacyPlan
from privacy.dp.rounding import PER_ROOT, base_dtype
from privacy.dp.sampling import poisson_batches
from privacy.dp.selfcheck import refuse_inexact, refuse_rounding
from shared.errors import PrivacyError

CHECKED = 4  # records whose gradients are compared with a one-record loop before training

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
        self._left, self._roles, self._failed = self._values(), self._trained(), False

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
        self._refuse_changes()
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
        self._refuse_statistics(self._left)
        self._left, self._failed = self._values(), False

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
        """Refuse a model whose per-record gradients are not exact, or which keeps statistics of the records."""
        kept, training, count = self._values(), self._model.training, min(CHECKED, records)
        try:
            with _secret_seed():
                refuse_outsiders(self._losses_of(self._model, range(count)), self._model)
                refuse_inexact(self._model, self._losses_of, count)
                refuse_rounding(self._model, self._losses_of, count, PER_ROOT[base_dtype(self._model)])
            self._refuse_statistics(kept)
        except (RuntimeError, TypeError, IndexError) as error:
            raise PrivacyError(
                f"the gradients of {count} single records could not be computed ({type(error).__name__}), so nothing is "
                "trained; call losses(model, ...) on a few records to see whether it works, and replace layers such as "
                "nn.LSTM and nn.MultiheadAttention by those of opacus.layers"
            ) from error
        finally:
            self._model.train(training)
            for name, buffer in self._model.named_buffers():
                buffer.data.copy_(kept.get(name, buffer))

    def _values(self) -> dict[str, torch.Tensor]:
        """Return a copy of everything that training could change, by name.

        The counter of changes in place would not do: neither fused optimisers nor changes through ``data`` move it.
        """
        trained = ((name, parameter) for name, parameter in self._model.named_parameters() if parameter.requires_grad)
        return {name: tensor.detach().clone() for name, tensor in (*trained, *self._model.named_buffers())}

    def _trained(self) -> tuple[list[int], list[int]]:
        """Return which tensors of the model are trained, and which the optimiser steps on."""
        trained = [id(parameter) for parameter in self._model.parameters() if parameter.requires_grad]
        return trained, [id(parameter) for group in self._optimizer.param_groups for parameter in group["params"]]

    def _refuse_changes(self) -> None:
        """Refuse to continue if anything but a private step changed the model, or if other tensors are trained now."""
        if self._trained() != self._roles:
            raise PrivacyError(
                "other tensors are trained than at the start (a layer was unfrozen, or the optimizer got another group), "
                "and nobody checked their gradients; decide before make_private which layers are trained"
            )
        now = self._values()
        if now.keys() != self._left.keys() or not all(torch.equal(now[name], left) for name, left in self._left.items()):
            raise PrivacyError(
                "the model was changed between private steps (an optimizer.step() of your own, or loaded weights), which "
                "the plan does not account for; let step(batch) do all of the training"
            )

    def _refuse_statistics(self, before: Mapping[str, torch.Tensor]) -> None:
        """Refuse a model whose buffers changed while it saw records."""
        changed = [name for name, buffer in self._model.named_buffers() if not torch.equal(buffer, before[name])]
        if changed:
            raise PrivacyError(
                f"{changed[0]}: this layer keeps statistics of the records, which no noise covers; use a layer without "
                "them, such as GroupNorm or LayerNorm, and start from a new model"
            )


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
    provided that the batches stay secret, that each item of ``data`` is one record and is computed from this record only,
    and that nothing else that is computed from the records is published or steers the training: no training loss, no
    learning rate or early stop that follows it, no choice of settings by several runs on the same records. Runs add up,
    and so do the parts of a run that was interrupted and continued under a plan of its own: `Accountant` composes plans.

    Parameters
    ----------
    model
        Any module in float32 or bfloat16 that computes each record by itself: no batch normalisation. It is trained in
        place, and must contain every tensor that the losses train. Which of its tensors are trained stays as it is at this
        call.
    optimizer
        Any optimiser of ``torch.optim`` over the model's parameters; its ``step`` must not need a closure. Do not call it.
    plan
        Plan of the whole training, from `PrivacyPlan.of`.
    data
        A tuple of tensors with one row for each record, or a map-style data set with one item for each record. No record
        twice, and no item made of several records: no oversampling, no overlapping windows of a series, no mixed pairs.
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
    records = records_of(data, plan)
    refuse_mistakes(model, optimizer, at_once)
    batches = PoissonBatches(len(records), plan)  # type: ignore[arg-type]
    training = PrivateTraining(model, optimizer, plan, records, losses, batches, at_once)
    mark(model)
    return model, training, batches


@contextmanager
def _secret_seed() -> Iterator[None]:
    """Draw random numbers such as dropout masks from a secret seed.

    With a public seed, one more record would change the masks of the other records in a way that everybody could compute.
    """
    with torch.random.fork_rng():
        torch.manual_seed(secrets.randbits(63))
        yield
