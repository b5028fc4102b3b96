"""From a model and an optimiser to private ones: per-record gradients, Opacus' clipping and step, our noise.

Opacus' own ``make_private`` derives the sampling rate and the divisor from the private record count (its issues 571
and 819) and draws seedable noise, so its parts are joined here with the public numbers of the plan instead.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from privacy.dp.clipping import FlatClipping, clipping_optimizer
from privacy.dp.gradients import dense, records
from privacy.dp.per_record import fused, per_record_gradients
from privacy.dp.plan import PrivacyPlan
from privacy.dp.rounding import base_dtype, rounding_slack
from shared.errors import PrivacyError
from shared.models.device import sent


class Step(Protocol):
    """One optimiser step, made of micro-batches."""

    def accumulate(self, owners: Sequence[int] = ()) -> None:
        """Take in the gradients that the last backward pass left.

        ``owners`` names the privacy unit of each row, (B,); without it each row is a unit of its own.
        """

    def finish(self) -> None:
        """Take the step; it counts even when nothing was accumulated."""


@dataclass(frozen=True)
class PrivateStep:
    """A step whose gradient is a clipped, noised sum over privacy units, divided by the plan's public divisor.

    A unit is a row, or several: the records of a person, or the views of a record. Its rows' gradients are added up
    before the clip, so the unit has the bound C however many rows it has; weights of 1 / rows in the loss make the sum
    a mean (De et al. 2022, arXiv 2204.13650, section 3, for views).
    """

    optimizer: FlatClipping
    seen: set[int] = field(default_factory=set, repr=False)

    def accumulate(self, owners: Sequence[int] = ()) -> None:
        """Clip the units of one micro-batch and add them to the step's sum.

        Raises:
            PrivacyError: a unit came in an earlier micro-batch of the step too, so it would count twice; or a layer left
                more or fewer gradients than there are rows, so that one row would be clipped as several.
        """
        if owners:
            self._meet(set(owners))
            _refuse_other_rows(self.optimizer.params, len(owners))
            _add_up(self.optimizer.params, owners)
        self.optimizer.signal_skip_step(do_skip=True)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def finish(self) -> None:
        """Add the noise and step.

        The step ends with a micro-batch of no records, so a Poisson batch that is empty takes the same way as any
        other: it adds noise and counts.
        """
        for parameter in self.optimizer.params:
            parameter.grad_sample = parameter.new_zeros((0, *parameter.shape))
        self.optimizer.signal_skip_step(do_skip=False)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.seen.clear()

    def _meet(self, units: set[int]) -> None:
        if not units.isdisjoint(self.seen):
            raise PrivacyError("a privacy unit was cut over two micro-batches, so its influence is not bounded; report this")
        self.seen.update(units)


@dataclass(frozen=True)
class PlainStep:
    """A step without privacy on the same divisor, so that the loop is the same."""

    optimizer: torch.optim.Optimizer
    parameters: tuple[nn.Parameter, ...]
    divisor: float

    def accumulate(self, owners: Sequence[int] = ()) -> None:
        """Nothing to do: backward passes add up in ``grad``."""

    def finish(self) -> None:
        """Divide the summed gradient by the divisor and step."""
        for parameter in self.parameters:
            total = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
            parameter.grad = total / self.divisor
        self.optimizer.step()
        self.optimizer.zero_grad()


@contextmanager
def make_private(
    model: nn.Module, optimizer: torch.optim.Optimizer, plan: PrivacyPlan | None, divisor: float
) -> Iterator[tuple[nn.Module, Step]]:
    """Lend the model and a step that follow the plan; without a plan, the model itself and a plain step.

    The model keeps its tensors; what was hung on it is taken off at the end. ``divisor`` is the public expected batch,
    in privacy units. The loss must be a sum over rows of each row's own loss.
    """
    if plan is None:
        parameters = tuple(p for p in model.parameters() if p.requires_grad)
        with fused(model) as lent:
            yield lent, PlainStep(optimizer, parameters, divisor)
        return
    private = clipping_optimizer(optimizer, plan, rounding_slack(base_dtype(model), plan.expected_batch))
    with per_record_gradients(model) as lent:
        yield lent, PrivateStep(private)


def _refuse_other_rows(parameters: Sequence[nn.Parameter], rows: int) -> None:
    for parameter in parameters:
        given = getattr(parameter, "grad_sample", None)
        if given is None or records(given) != rows:
            found = 0 if given is None else records(given)
            raise PrivacyError(
                f"a trained layer gave {found} per-record gradients for a batch of {rows} rows, so a record's influence is "
                "not bounded; adapt layers that are given one row of tokens a record (adapter.targets)"
            )


def _add_up(parameters: list[nn.Parameter], owners: Sequence[int]) -> None:
    """From one gradient a row, (B, ...), to one a unit, (units, ...)."""
    numbers = {unit: number for number, unit in enumerate(dict.fromkeys(owners))}
    if len(numbers) == len(owners):
        return
    for parameter in parameters:
        rows = dense(parameter.grad_sample)  # type: ignore[attr-defined]
        target = sent(torch.tensor([numbers[owner] for owner in owners]), rows.device)
        parameter.grad_sample = rows.new_zeros((len(numbers), *parameter.shape)).index_add_(0, target, rows)  # type: ignore[attr-defined]
