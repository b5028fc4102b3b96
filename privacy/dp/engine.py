"""From a model and an optimiser to private ones: per-record gradients, Opacus' clipping and step, our noise.

Opacus' own ``make_private`` derives the sampling rate and the divisor from the private record count (its issues 571
and 819) and draws seedable noise, so its parts are joined here with the public numbers of the plan instead.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from opacus.optimizers import DPOptimizer
from torch import nn

from privacy.dp.clipping import clipping_optimizer
from privacy.dp.per_record import fused, per_record_gradients
from privacy.dp.plan import PrivacyPlan


class Step(Protocol):
    """One optimiser step, made of micro-batches."""

    def accumulate(self) -> None:
        """Take in the gradients that the last backward pass left."""

    def finish(self) -> None:
        """Take the step; it counts even when nothing was accumulated."""


@dataclass(frozen=True)
class PrivateStep:
    """A step whose gradient is a clipped, noised sum over records, divided by the plan's public divisor."""

    optimizer: DPOptimizer

    def accumulate(self) -> None:
        """Clip the records of one micro-batch and add them to the step's sum."""
        _drop_unbounded(self.optimizer.params)
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


@dataclass(frozen=True)
class PlainStep:
    """A step without privacy on the same divisor, so that the loop is the same."""

    optimizer: torch.optim.Optimizer
    parameters: tuple[nn.Parameter, ...]
    divisor: float

    def accumulate(self) -> None:
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

    The model keeps its tensors; what was hung on it is taken off at the end. ``divisor`` is the public expected
    batch, in records. The loss must be a sum over records of each record's own loss.
    """
    if plan is None:
        parameters = tuple(p for p in model.parameters() if p.requires_grad)
        with fused(model) as lent:
            yield lent, PlainStep(optimizer, parameters, divisor)
        return
    with per_record_gradients(model) as lent:
        yield lent, PrivateStep(clipping_optimizer(optimizer, plan))


def _drop_unbounded(parameters: list[nn.Parameter]) -> None:
    """Zero the gradient of each record whose norm is no finite number: clipping could not bound it.

    A fixed rule on one record, so it costs no privacy. Squares that overflow float32 count as infinite.
    """
    gradients = [p.grad_sample for p in parameters]  # type: ignore[attr-defined]
    norms = [torch.linalg.vector_norm(g, dim=tuple(range(1, g.dim()))) for g in gradients]
    bounded = torch.linalg.vector_norm(torch.stack(norms), dim=0).isfinite()  # (B,)
    for gradient in gradients:
        mask = bounded.reshape(-1, *[1] * (gradient.dim() - 1))
        torch.where(mask, gradient, torch.zeros_like(gradient), out=gradient)
