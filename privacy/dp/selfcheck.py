"""The start-up checks: per-record gradients of the batch against a loop over single records, and what rounding moves."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from privacy.dp.gradients import dense
from privacy.dp.gradients import records as records_in
from privacy.dp.per_record import per_record_gradients
from shared.errors import PrivacyError

TOLERANCE = 1e-3  # relative; rounding in float32 reaches 2e-4 on a 30-layer model

LossOf = Callable[[nn.Module, list[int]], torch.Tensor]


def largest_difference(model: nn.Module, loss_of: LossOf, records: int) -> float:
    """The largest relative L2 difference, over records, of the gradient in the batch from the gradient alone.

    ``loss_of(model, indices)`` gives the per-record losses, shape (len(indices),). The comparison runs in float32,
    whatever the base is stored in: in bfloat16 rounding alone is about 1 %.
    """
    with _in_float32(model):
        batch = _batched(model, loss_of, list(range(records)))  # (records, parameters)
        worst = 0.0
        for index in range(records):
            alone = _alone(model, loss_of, index)
            scale = max(float(alone.norm()), 1e-12)
            worst = max(worst, float((batch[index] - alone).norm()) / scale)
    return worst


def refuse_inexact(model: nn.Module, loss_of: LossOf, records: int) -> None:
    """Refuse to train when a record's gradient depends on its neighbours in the batch.

    Raises:
        PrivacyError: the largest relative difference is above 1e-3, so clipping would not bound a record.
    """
    try:
        difference = largest_difference(model, loss_of, records)
    except (NotImplementedError, ValueError) as error:  # Opacus and torch refuse layers that mix records
        raise PrivacyError(
            f"per-record gradients cannot be had from this model ({type(error).__name__}), so nothing is trained; use a "
            "model without batch normalisation or other cross-record layers, or set privacy.enabled = false"
        ) from error
    if not difference <= TOLERANCE:
        raise PrivacyError(
            f"per-record gradients differ from a one-record loop by {difference:.1e} (bound {TOLERANCE:.0e}), so a "
            "record's influence is not bounded and nothing is trained; use a model without cross-record layers, or set "
            "privacy.enabled = false"
        )


def rounding_moved(model: nn.Module, loss_of: LossOf, records: int) -> float:
    """Return what the first record moves the others' clipped sum by, in C, for each root of their number.

    Both batches, with it and without, run in the dtype that trains. Every record counts as clipped, which is where rounding
    weighs most: its gradient is taken at norm 1.
    """
    with _still(model):
        everyone, others = (_directions(model, loss_of, list(range(first, records))) for first in (0, 1))
    return float((everyone[1:] - others).sum(dim=0).norm()) / math.sqrt(records - 1)


def refuse_rounding(model: nn.Module, loss_of: LossOf, records: int, charged: float) -> None:
    """Refuse to train where rounding moves more than the plan's sensitivity covers.

    Parameters
    ----------
    model, loss_of, records
        As in `largest_difference`; ``loss_of`` computes a batch as training does. With fewer than 3 records nothing is
        compared, since a batch without the first would be a record alone.
    charged
        The bound, in C for each root of the records in a batch (`privacy.dp.rounding.PER_ROOT`).

    Raises
    ------
    PrivacyError
        The first record moves the others by more.
    """
    if records < 3:
        return
    moved = rounding_moved(model, loss_of, records)
    if not moved <= charged:
        raise PrivacyError(
            f"one record more moves the others' gradients by {moved:.1e} of the clipping norm for each root of their "
            f"number, and {charged:.0e} is accounted for, so nothing is trained; set model.dtype = 'float32'"
        )


def _directions(model: nn.Module, loss_of: LossOf, indices: list[int]) -> torch.Tensor:
    gradients = _batched(model, loss_of, indices).double()
    directions: torch.Tensor = gradients / gradients.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return directions


def _batched(model: nn.Module, loss_of: LossOf, indices: list[int]) -> torch.Tensor:
    """Each record's gradient of all tensors, (records, parameters) float32."""
    records = len(indices)
    trained = [p for p in model.parameters() if p.requires_grad]
    with per_record_gradients(model) as wrapped:
        torch.autograd.backward(loss_of(wrapped, indices).sum())
        missing = sum(getattr(p, "grad_sample", None) is None for p in trained)
        if missing:
            raise PrivacyError(
                f"{missing} of {len(trained)} trained tensors have no per-record gradient, so their records cannot be "
                "bounded; adapt linear layers only (adapter.targets)"
            )
        if any(records_in(p.grad_sample) != records for p in trained):  # type: ignore[attr-defined]
            raise PrivacyError(
                "a trained layer gives other than one gradient a record, so a record's influence is not bounded; adapt "
                "layers that are given one row of tokens a record (adapter.targets)"
            )
        return torch.cat([dense(p.grad_sample).reshape(records, -1) for p in trained], dim=1)  # type: ignore[attr-defined]


def _alone(model: nn.Module, loss_of: LossOf, index: int) -> torch.Tensor:
    trained = [p for p in model.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss_of(model, [index]).sum(), trained)
    return torch.cat([gradient.reshape(-1) for gradient in gradients])


@contextmanager
def _in_float32(model: nn.Module) -> Iterator[None]:
    """Compute in float32 for a while; a round trip from bfloat16 is exact."""
    kept = {name: tensor.dtype for name, tensor in model.named_parameters()}
    quantised: list[Any] = [module for module in model.modules() if hasattr(module, "compute_dtype")]
    computed = [module.compute_dtype for module in quantised]
    try:
        model.float()
        for module in quantised:
            module.compute_dtype = torch.float32
        with _still(model):
            yield
    finally:
        for layer, dtype in zip(quantised, computed, strict=True):
            layer.compute_dtype = dtype
        for name, tensor in model.named_parameters():
            tensor.data = tensor.data.to(kept[name])


@contextmanager
def _still(model: nn.Module) -> Iterator[None]:
    """Compute as in training for a while, but without dropout, for one true answer."""
    rates = {module: module.p for module in model.modules() if isinstance(module, nn.Dropout)}
    try:
        model.train()
        for module in rates:
            module.p = 0.0
        yield
    finally:
        for module, rate in rates.items():
            module.p = rate
