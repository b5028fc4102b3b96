"""Refuse common mistakes that would make training cost more privacy than its plan says, or give no privacy at all."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from privacy.dp.plan import PrivacyPlan
from shared.errors import PrivacyError

MARK = "_trained_under_a_privacy_plan"  # attribute of a model that make_private has taken before
DTYPES = frozenset({torch.float32, torch.bfloat16})  # dtypes for which the noise is known to cover rounding
REMEDY = "pass a tuple of tensors or a map-style data set, with one item for each record"


def records_of(data: object, plan: object) -> Dataset[Any]:
    """Return the records as a data set that has a length.

    Parameters
    ----------
    data
        A tuple of tensors, or a map-style data set.
    plan
        The plan, whose declared size the number of records must be near.

    Raises
    ------
    PrivacyError
        The plan is not for records, or the data are batched already, hold a record twice, or are of another size.
    """
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
    places = list(_places(data))
    if len(set(places)) < len(places):
        raise PrivacyError(
            "data: a Subset or ConcatDataset holds a record more than once, so its influence is more than the plan charges; "
            "give each record once, and weight it in its loss"
        )
    return data


def refuse_mistakes(model: nn.Module, optimizer: torch.optim.Optimizer, at_once: int) -> None:
    """Refuse a model or an optimiser for which the plan would not hold.

    Parameters
    ----------
    model, optimizer, at_once
        As `privacy.dp.training.make_private` takes them.

    Raises
    ------
    PrivacyError
        The model was trained under a plan before, mixes records, or has an unknown dtype; or the optimiser is not a plain
        one of the model's trained tensors.
    """
    if at_once < 1:
        raise PrivacyError(f"at_once = {at_once}: must be at least 1")
    if any(MARK in vars(module) for module in model.modules()):
        raise PrivacyError(
            "model: it was trained under a plan before, and a second call would spend again; plan all steps in one call, or "
            "start from a new model and add both plans up with Accountant"
        )
    if any(isinstance(module, GradSampleModule) for module in model.modules()):
        raise PrivacyError("model: it is wrapped by Opacus already; pass the plain model")
    mixing = [name for name, module in model.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if mixing:
        raise PrivacyError(
            f"{mixing[0] or 'model'}: batch normalisation mixes records, so no record's influence is bounded; use GroupNorm "
            "or LayerNorm"
        )
    unknown = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()} - DTYPES
    if unknown:
        raise PrivacyError(f"model: has {unknown.pop()} weights, for which rounding is not covered; call model.float()")
    _refuse_other_optimizer(model, optimizer)


def refuse_outsiders(losses: torch.Tensor, model: nn.Module) -> None:
    """Refuse losses that also train tensors outside the model, whose gradients nobody clips and no noise covers.

    Parameters
    ----------
    losses
        Losses of some records, computed by the model.
    model
        The model that is trained.

    Raises
    ------
    PrivacyError
        The losses depend on a trained tensor that is not the model's.
    """
    own = {id(parameter) for parameter in model.parameters()}
    if any(id(leaf) not in own for leaf in _leaves(losses)):
        raise PrivacyError(
            "losses: they train a tensor that is not part of the model, such as a layer of its own, and nothing clips its "
            "gradients; put all trained layers into one module, or set requires_grad = False on the others"
        )


def mark(model: nn.Module) -> None:
    """Mark a model, and each part with trained tensors of its own, as trained under a plan."""
    for module in model.modules():
        if module is model or any(parameter.requires_grad for parameter in module.parameters(recurse=False)):
            vars(module)[MARK] = True


def _places(data: Any) -> Iterator[tuple[int, int]]:
    """Yield for each item where it lies: the data set that holds it, and its number in there."""
    if type(data) is Subset:
        inner = list(_places(data.dataset))
        yield from (inner[index] for index in data.indices)
    elif type(data) is ConcatDataset:
        for part in data.datasets:
            yield from _places(part)
    else:
        yield from ((id(data), number) for number in range(len(data)))


def _refuse_other_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    if isinstance(optimizer, DPOptimizer):
        raise PrivacyError("optimizer: it adds noise by itself; pass the plain optimiser of torch.optim, without Opacus")
    trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    optimised = {id(p) for group in optimizer.param_groups for p in group["params"] if p.requires_grad}
    if not optimised or not optimised <= trained:
        raise PrivacyError(
            "optimizer: it must hold trained parameters of this model and no others; make it from model.parameters()"
        )


def _leaves(losses: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the tensors at the ends of a graph that a backward pass would give gradients to."""
    waiting: list[Any] = [losses.grad_fn]
    seen: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting += [following for following, _ in node.next_functions]
