"""The start-up check: per-record gradients of the batch against a loop over single records."""

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
        batch = _batched(model, loss_of, records)  # (records, parameters)
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


def _batched(model: nn.Module, loss_of: LossOf, records: int) -> torch.Tensor:
    trained = [p for p in model.parameters() if p.requires_grad]
    with per_record_gradients(model) as wrapped:
        torch.autograd.backward(loss_of(wrapped, list(range(records))).sum())
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
    """Compute in float32 for a while; a round trip from bfloat16 is exact. Dropout is off, for one true answer."""
    kept = {name: tensor.dtype for name, tensor in model.named_parameters()}
    rates = {module: module.p for module in model.modules() if isinstance(module, nn.Dropout)}
    quantised: list[Any] = [module for module in model.modules() if hasattr(module, "compute_dtype")]
    computed = [module.compute_dtype for module in quantised]
    try:
        model.float().train()
        for module in quantised:
            module.compute_dtype = torch.float32
        for module in rates:
            module.p = 0.0
        yield
    finally:
        for module, rate in rates.items():
            module.p = rate
        for layer, dtype in zip(quantised, computed, strict=True):
            layer.compute_dtype = dtype
        for name, tensor in model.named_parameters():
            tensor.data = tensor.data.to(kept[name])
