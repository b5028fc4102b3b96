"""Check before training that per-record gradients equal those of single records, and that the slack covers rounding.

Each check takes a model with an adapter, a function that computes losses with it (`LossOf`), and the number of records to
compare. `refuse_inexact_as_trained` and `refuse_rounding` need a function that computes losses exactly as training does.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn

from privacy.dp.clipping import clipping_optimizer
from privacy.dp.gradients import dense, record_count, wide
from privacy.dp.per_record import per_record_gradients
from privacy.dp.plan import PrivacyPlan
from shared.errors import PrivacyError
from shared.models.library import class_only

TOLERANCE = 1e-3  # relative; float32 rounding reaches 2e-4 on a model of 30 layers
LOOSE = 3.0  # a gradient in 16 bits may be this many times as far from float32 as the model's own rounding moves it
LEAST_ROUNDING, MOST_ROUNDING = 0.01, 0.5  # relative; the limit in 16 bits is never below the first or above the second
SMALL = 0.1  # a gradient below this share of the largest is compared on the scale of that share

LossOf = Callable[[nn.Module, list[int]], torch.Tensor]  # from a model and n indices to the records' losses, (n,)


def largest_difference(model: nn.Module, loss_of: LossOf, records: int) -> float:
    """Return the largest relative L2 difference between a record's gradient in the batch and its gradient by itself.

    The comparison runs in float32, whatever the dtype of the base model, because bfloat16 rounding gives about 1 %.

    Returns
    -------
    float
        Largest difference over all records, relative to the norm of the record's gradient by itself.
    """
    with in_float32(model):
        batch = _batch_gradients(model, loss_of, list(range(records)))  # (records, parameters)
        differences = []
        for index in range(records):
            alone = _single_gradient(model, loss_of, index)
            alone = alone.to(wide(alone.device))  # the squares of large numbers overflow float32
            differences.append((batch[index] - alone).norm() / alone.norm().clamp(min=1e-12))
    return _largest(torch.stack(differences))


def refuse_inexact(model: nn.Module, loss_of: LossOf, records: int) -> None:
    """Refuse to train if a record's gradient depends on the other records in its batch.

    Raises
    ------
    PrivacyError
        The largest relative difference is above 1e-3, or the model gives no per-record gradients; clipping would not bound a
        record.
    """
    with _in_one_sentence():
        difference = largest_difference(model, loss_of, records)
    if not difference <= TOLERANCE:
        raise PrivacyError(
            f"per-record gradients differ from a one-record loop by {difference:.1e} (limit {TOLERANCE:.0e}), so a "
            "record's influence is not bounded and nothing is trained; use a model without cross-record layers, or set "
            "privacy.enabled = false"
        )


def furthest_as_trained(model: nn.Module, loss_of: LossOf, records: int) -> tuple[float, float]:
    """Return how far gradients are from float32, first computed as in training, then by the unmodified model in its dtype.

    `largest_difference` computes in float32, for which some devices have other kernels than for 16 bits. This comparison
    runs the kernels of training, so it is as coarse as rounding in the dtype of training, which is the second number.

    Returns
    -------
    tuple[float, float]
        The largest L2 distance over all records as in training, and the largest of the unmodified model, which computes
        single records; relative to the record's gradient in float32, or to 1/10 of the largest gradient if that is more.
    """
    with in_float32(model):
        true = torch.stack([_single_gradient(model, loss_of, index).float() for index in range(records)])
    with _without_dropout(model):
        trained = _batch_gradients(model, loss_of, list(range(records))).float()
        alone = torch.stack([_single_gradient(model, loss_of, index).float() for index in range(records)])
    norms = true.norm(dim=1)
    scales = torch.maximum(norms, SMALL * norms.max()).clamp(min=1e-12)
    return tuple(_largest((found - true).norm(dim=1) / scales) for found in (trained, alone))  # type: ignore[return-value]


def limit_as_trained(rounding: float) -> float:
    """Return how far gradients may be from float32: 3 times as far as those of the unmodified model, within two bounds."""
    return min(max(LOOSE * rounding, LEAST_ROUNDING), MOST_ROUNDING)


def refuse_inexact_as_trained(model: nn.Module, loss_of: LossOf, records: int) -> None:
    """Refuse to train if per-record gradients are wrong with the kernels of training, although they are exact in float32.

    Raises
    ------
    PrivacyError
        A gradient is further from the one in float32 than `limit_as_trained` allows, or the model gives no per-record
        gradients.
    """
    with _in_one_sentence():
        found, rounding = furthest_as_trained(model, loss_of, records)
    limit = limit_as_trained(rounding)
    if not found <= limit:
        raise PrivacyError(
            f"in the dtype of training, per-record gradients differ from those in float32 by {found:.1e} (limit "
            f"{limit:.1e}), so a record's influence is not bounded and nothing is trained; set model.dtype = 'float32'"
        )


def refuse_unequal_sum(total: torch.Tensor, model: nn.Module, loss_of: LossOf, records: int, plan: PrivacyPlan) -> None:
    """Refuse a clipped sum that several processes computed if it is not the sum of single records, each clipped by itself.

    Parameters
    ----------
    total
        The clipped sum of the records, computed in float32 without dropout, (d,); further numbers are ignored.
    model
        The model, in the state for which the sum was computed.
    plan
        Plan of the run, which says how gradients are clipped.

    Raises
    ------
    PrivacyError
        The sum differs by more than 1e-3 of the norms of its parts.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    copies = [nn.Parameter(p.detach().clone()) for p in trained]  # Opacus leaves attributes on what it is given
    clipping = clipping_optimizer(torch.optim.SGD(copies), plan, 0.0)  # never steps; it only knows the factors
    sizes = [p.numel() for p in trained]
    total = total[: sum(sizes)]
    expected, parts = torch.zeros_like(total), 0.0
    with in_float32(model):
        for index in range(records):
            alone = _single_gradient(model, loss_of, index).to(total)
            norms = torch.stack([piece.norm() for piece in torch.split(alone, sizes)])[:, None]
            factors = clipping.factors(norms, norms.norm(dim=0)).expand_as(norms)
            clipped = torch.cat([piece * factor for piece, factor in zip(torch.split(alone, sizes), factors, strict=True)])
            expected, parts = expected + clipped, parts + float(clipped.norm())
    difference = float((total - expected).norm()) / max(parts, 1e-12)
    if not difference <= TOLERANCE:
        raise PrivacyError(
            f"the sum of {records} records over several processes differs by {difference:.1e} (limit {TOLERANCE:.0e}) from "
            "that of single records, so nothing is trained; set processes = 1 in [model] of SITE.toml"
        )


def rounding_moved(model: nn.Module, loss_of: LossOf, records: int) -> float:
    """Return how far the first record moves the clipped sum of the others by rounding, in C per square root of their number.

    Both batches, with and without the first record, run in the dtype of training. Every gradient is scaled to norm 1, as if
    it were clipped, because that is where rounding matters most. At least 2 records are needed.
    """
    with _without_dropout(model):
        everyone, others = (_directions(model, loss_of, list(range(first, records))) for first in (0, 1))
    return float((everyone[1:] - others).sum(dim=0).norm()) / math.sqrt(records - 1)


def refuse_rounding(model: nn.Module, loss_of: LossOf, records: int, charged: float) -> None:
    """Refuse to train if rounding moves the sum of the other records further than the plan's sensitivity covers.

    Fewer than 3 records are not compared, because the batch without the first record would be a single record.

    Parameters
    ----------
    charged
        The covered bound, in C per square root of the records in a batch (`privacy.dp.rounding.PER_ROOT`).

    Raises
    ------
    PrivacyError
        The first record moves the others further.
    """
    if records < 3:
        return
    with _in_one_sentence():
        moved = rounding_moved(model, loss_of, records)
    if not moved <= charged:
        raise PrivacyError(
            f"rounding with one more record moves the other gradients by {moved:.1e} of the clipping norm per square root "
            f"of their number, but only {charged:.0e} is accounted for, so nothing is trained; set model.dtype = 'float32'"
        )


def _in_one_sentence() -> AbstractContextManager[None]:
    """Replace an error of another library inside the block, such as that of a layer that mixes records, by one sentence."""
    return class_only(
        "this model gives no per-record gradients",
        "so nothing is trained; use a model without batch normalisation or other cross-record layers, or set "
        "model.dtype = 'float32' (which some libraries need) or privacy.enabled = false",
        PrivacyError,
    )


def _largest(distances: torch.Tensor) -> float:
    """Return the largest distance, or infinity if one is not a number."""
    return float(distances.nan_to_num(math.inf).max())


def _directions(model: nn.Module, loss_of: LossOf, indices: list[int]) -> torch.Tensor:
    """Return the per-record gradients scaled to norm 1, (records, parameters) float64."""
    gradients = _batch_gradients(model, loss_of, indices).double()
    directions: torch.Tensor = gradients / gradients.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return directions


def _batch_gradients(model: nn.Module, loss_of: LossOf, indices: list[int]) -> torch.Tensor:
    """Return the per-record gradients of all trained tensors, (records, parameters) float32."""
    records = len(indices)
    trained = [p for p in model.parameters() if p.requires_grad]
    with per_record_gradients(model) as wrapped:
        torch.autograd.backward(loss_of(wrapped, indices).sum())
        missing = sum(getattr(p, "grad_sample", None) is None for p in trained)
        if missing:
            raise PrivacyError(
                f"{missing} of {len(trained)} trained tensors have no per-record gradient, so a record's influence is not "
                "bounded; adapt linear layers only (adapter.targets)"
            )
        if any(record_count(p.grad_sample) != records for p in trained):  # type: ignore[attr-defined]
            raise PrivacyError(
                "a trained layer does not give exactly one gradient per record, so a record's influence is not bounded; "
                "adapt layers whose input is one row of tokens per record (adapter.targets)"
            )
        return torch.cat([dense(p.grad_sample).reshape(records, -1) for p in trained], dim=1)  # type: ignore[attr-defined]


def _single_gradient(model: nn.Module, loss_of: LossOf, index: int) -> torch.Tensor:
    trained = [p for p in model.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss_of(model, [index]).sum(), trained)
    return torch.cat([gradient.reshape(-1) for gradient in gradients])


@contextmanager
def in_float32(model: nn.Module) -> Iterator[None]:
    """Compute in float32 without dropout inside the block; converting bfloat16 to float32 and back is exact."""
    kept = {name: tensor.dtype for name, tensor in _tensors(model)}
    quantised: list[Any] = [module for module in model.modules() if hasattr(module, "compute_dtype")]
    computed = [module.compute_dtype for module in quantised]
    try:
        model.float()
        for module in quantised:
            module.compute_dtype = torch.float32
        with _without_dropout(model):
            yield
    finally:
        for layer, dtype in zip(quantised, computed, strict=True):
            layer.compute_dtype = dtype
        for name, tensor in _tensors(model):
            tensor.data = tensor.data.to(kept[name])


def _tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield all parameters and buffers by name."""
    yield from model.named_parameters()
    yield from model.named_buffers()


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    """Switch the model to training mode, and dropout off inside the block, so that the result is deterministic."""
    rates = {module: module.p for module in model.modules() if isinstance(module, nn.Dropout)}
    try:
        model.train()
        for module in rates:
            module.p = 0.0
        yield
    finally:
        for module, rate in rates.items():
            module.p = rate
