"""Make training private: per-record gradients, clipping and steps of Opacus, and our own noise.

Opacus' own ``make_private`` derives the sampling rate and the divisor from the private record count (its issues 571 and 819)
and draws noise from a seedable generator. Therefore this module combines parts of Opacus with the public numbers of the
plan.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from privacy.dp.clipping import FlatClipping, clipping_optimizer
from privacy.dp.gradients import dense, record_count, wide
from privacy.dp.per_record import fused, per_record_gradients
from privacy.dp.plan import PrivacyPlan
from privacy.dp.rounding import base_dtype, rounding_slack
from shared.errors import PrivacyError
from shared.models.device import to_device


class Step(Protocol):
    """One optimiser step, computed in micro-batches."""

    def accumulate(self, owners: Sequence[int] = ()) -> None:
        """Add the gradients of the last backward pass to the step.

        Parameters
        ----------
        owners
            Index of the privacy unit of each row, (B,); if empty, each row is a unit of its own.
        """

    def join(self, share: torch.Tensor, units: int) -> None:
        """Add to the step what another process of this site computed for units that this process does not have.

        Parameters
        ----------
        share
            What `PrivateSum.total` or `PlainSum.total` returned there.
        units
            Number of privacy units in it.
        """

    def finish(self) -> None:
        """Take the optimiser step; it counts even if nothing was accumulated."""


@dataclass(frozen=True)
class PrivateStep:
    """A step whose gradient is the clipped, noised sum over privacy units, divided by the plan's public divisor.

    A unit has one row or several: the records of a person, or the views of a record. The gradients of its rows are added
    before clipping, so its norm is bounded by C however many rows it has. Weights of 1 / rows in the loss turn the sum into
    a mean (De et al. 2022, arXiv 2204.13650, section 3, for views).
    """

    optimizer: FlatClipping
    seen: set[int] = field(default_factory=set, repr=False)

    def accumulate(self, owners: Sequence[int] = ()) -> None:
        """Clip the units of one micro-batch and add them to the step's sum.

        Parameters
        ----------
        owners
            Index of the privacy unit of each row, (B,); if empty, each row is a unit of its own.

        Raises
        ------
        PrivacyError
            A unit was in an earlier micro-batch of the step, so it would count twice; or a layer has more or fewer
            per-record gradients than there are rows, so one row would be clipped as several.
        """
        if owners:
            self._refuse_split_units(set(owners))
            _refuse_other_rows(self.optimizer.params, len(owners))
            _sum_by_unit(self.optimizer.params, owners)
        self.optimizer.signal_skip_step(do_skip=True)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def finish(self) -> None:
        """Add the noise and take the optimiser step.

        Each step ends with a micro-batch of no records. An empty Poisson batch is therefore treated like any other: it adds
        noise and counts.
        """
        self._give_nothing()
        self.optimizer.signal_skip_step(do_skip=False)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.seen.clear()

    @property
    def bound(self) -> float:
        """Return C of this step; under adaptive clipping it follows the steps before."""
        return float(self.optimizer.max_grad_norm)

    def join(self, share: torch.Tensor, units: int) -> None:
        """Add the clipped sum of another process of this site; the noise of the whole step is added in `finish` alone.

        Parameters
        ----------
        share
            What `PrivateSum.total` returned there.
        units
            Number of privacy units in it, none of which this process has.

        Raises
        ------
        PrivacyError
            The share is larger than its units can add.
        """
        self._give_nothing()
        self.accumulate()
        self.optimizer.join(share.to(self.optimizer.params[0].device), units)

    def _give_nothing(self) -> None:
        for parameter in self.optimizer.params:
            parameter.grad_sample = parameter.new_zeros((0, *parameter.shape))

    def _refuse_split_units(self, units: set[int]) -> None:
        if not units.isdisjoint(self.seen):
            raise PrivacyError(
                "a privacy unit was split over two micro-batches, so its influence is not bounded; report this as a bug"
            )
        self.seen.update(units)


@dataclass(frozen=True)
class PrivateSum(PrivateStep):
    """The clipped sum of one step over privacy units, without noise and without a step of an optimiser."""

    def finish(self) -> None:
        """Refuse: no step is taken here."""
        raise PrivacyError("a clipped sum has no noise, so no step may be taken with it; report this as a bug")

    def total(self) -> torch.Tensor:
        """Return the sum over all tensors, in the order of the model's own tensors, (d,) float64; call once a step.

        As in `PrivateStep`, a batch of no records comes last, so that an empty Poisson batch gives zeros. Under adaptive
        clipping the balance of the count follows as the last number.
        """
        self._give_nothing()
        self.accumulate()
        total: torch.Tensor = self.optimizer.share()
        for parameter in self.optimizer.params:
            parameter.summed_grad = None
        self.seen.clear()
        return total


@dataclass(frozen=True)
class PlainStep:
    """A step without privacy that uses the same divisor, so that the training loop is the same."""

    optimizer: torch.optim.Optimizer
    parameters: tuple[nn.Parameter, ...]
    divisor: float

    def accumulate(self, owners: Sequence[int] = ()) -> None:
        """Do nothing: backward passes add up in ``grad``."""

    def join(self, share: torch.Tensor, units: int) -> None:
        """Add the summed gradient of another process of this site."""
        parts = torch.split(share, [parameter.numel() for parameter in self.parameters])
        for parameter, part in zip(self.parameters, parts, strict=True):
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = own + part.view_as(parameter).to(own)

    def finish(self) -> None:
        """Divide the summed gradient by the divisor and take the optimiser step."""
        for parameter in self.parameters:
            total = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
            parameter.grad = total / self.divisor
        self.optimizer.step()
        self.optimizer.zero_grad()


@dataclass(frozen=True)
class PlainSum:
    """The summed gradient of one step without privacy."""

    parameters: tuple[nn.Parameter, ...]

    def accumulate(self, owners: Sequence[int] = ()) -> None:
        """Do nothing: backward passes add up in ``grad``."""

    def total(self) -> torch.Tensor:
        """Return the sum over all tensors, (d,) float64; call once a step."""
        given = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        for parameter in self.parameters:
            parameter.grad = None
        return torch.cat([gradient.flatten().to(wide(gradient.device)) for gradient in given])


@contextmanager
def make_private(
    model: nn.Module, optimizer: torch.optim.Optimizer, plan: PrivacyPlan | None, divisor: float
) -> Iterator[tuple[nn.Module, Step]]:
    """Yield the model and a step object that train by the plan; remove everything added to the model on exit.

    With a plan the model gets hooks for per-record gradients, and the step clips, adds noise and divides by
    ``plan.expected_batch``. Without a plan the step is a plain one. The model keeps its tensors.

    Parameters
    ----------
    model
        Model with an adapter; its loss must be a sum over rows, each of which depends only on its own row.
    optimizer
        Optimiser of the trained parameters.
    plan
        Privacy plan of the run, or None for training without privacy.
    divisor
        Expected number of privacy units in a batch, q x declared_size; used only without a plan.

    Yields
    ------
    tuple[nn.Module, Step]
        The model to compute losses with, and the step.
    """
    if plan is not None and plan.shared is not None:
        raise PrivacyError("make_private: under trust 'distributed' a site takes no step of its own; report this as a bug")
    if plan is None:
        parameters = tuple(p for p in model.parameters() if p.requires_grad)
        with fused(model) as lent:
            yield lent, PlainStep(optimizer, parameters, divisor)
        return
    private = clipping_optimizer(optimizer, plan, rounding_slack(base_dtype(model), plan.expected_batch))
    with per_record_gradients(model) as lent:
        yield lent, PrivateStep(private)


@contextmanager
def summing(model: nn.Module, plan: PrivacyPlan) -> Iterator[tuple[nn.Module, PrivateSum]]:
    """Yield the model and an object that adds up its clipped gradients; remove everything added to the model on exit.

    Nothing here adds noise: the sum may leave the site only through `privacy.secagg`.

    Parameters
    ----------
    model
        Model with an adapter; its loss must be a sum over rows, each of which depends only on its own row.
    plan
        Privacy plan of a run under trust ``distributed``.

    Raises
    ------
    PrivacyError
        The sites share no noise, or the plan does not cover the rounding of this model's dtype.
    """
    if plan.shared is None:
        raise PrivacyError(f"a sum without noise under trust '{plan.trust}': no noise would cover it; report this as a bug")
    slack = rounding_slack(base_dtype(model), plan.expected_batch)
    if slack > plan.shared.slack:
        raise PrivacyError(
            f"the model computes in {base_dtype(model)}, and the shared noise covers less rounding; set model.dtype to that"
        )
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    clipping = clipping_optimizer(torch.optim.SGD(parameters), plan, plan.shared.slack)
    with per_record_gradients(model) as lent:
        yield lent, PrivateSum(clipping)


@contextmanager
def sharing(model: nn.Module, plan: PrivacyPlan | None) -> Iterator[tuple[nn.Module, PrivateSum | PlainSum]]:
    """Yield the model and an object that adds up this process' share of a step; remove everything added to it on exit.

    Nothing here adds noise: the share may go only to the process of the same site that adds the noise (`Step.join`).

    Parameters
    ----------
    model
        Model with an adapter; its loss must be a sum over rows, each of which depends only on its own row.
    plan
        Privacy plan of the run with the present C as its clipping norm, or None for training without privacy.
    """
    parameters = tuple(parameter for parameter in model.parameters() if parameter.requires_grad)
    if plan is None:
        with fused(model) as lent:
            yield lent, PlainSum(parameters)
        return
    slack = rounding_slack(base_dtype(model), plan.expected_batch)
    clipping = clipping_optimizer(torch.optim.SGD(parameters), plan, slack)
    with per_record_gradients(model) as lent:
        yield lent, PrivateSum(clipping)


def _refuse_other_rows(parameters: Sequence[nn.Parameter], rows: int) -> None:
    for parameter in parameters:
        given = getattr(parameter, "grad_sample", None)
        if given is None or record_count(given) != rows:
            found = 0 if given is None else record_count(given)
            raise PrivacyError(
                f"a trained layer gave {found} per-record gradients for a batch of {rows} rows, so a record's influence is "
                "not bounded; adapt layers whose input is one row of tokens per record (adapter.targets)"
            )


def _sum_by_unit(parameters: list[nn.Parameter], owners: Sequence[int]) -> None:
    """Add the gradients of each unit's rows: from (B, ...) to (units, ...)."""
    numbers = {unit: number for number, unit in enumerate(dict.fromkeys(owners))}
    if len(numbers) == len(owners):
        return
    for parameter in parameters:
        rows = dense(parameter.grad_sample)  # type: ignore[attr-defined]
        target = to_device(torch.tensor([numbers[owner] for owner in owners]), rows.device)
        parameter.grad_sample = rows.new_zeros((len(numbers), *parameter.shape)).index_add_(0, target, rows)  # type: ignore[attr-defined]
