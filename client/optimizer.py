"""The optimiser of local training: AdamW with two rates, its moments as named arrays, and the pull to the round's start."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from client.preflight import LARGEST_NUMBER
from privacy.dp.clipping import CLIPPING_NORM
from shared.adapters.state import AdapterState
from shared.config.training import TrainingSection
from shared.errors import RunError
from shared.tasks.head import HEADS


def optimizer_of(model: nn.Module, training: TrainingSection) -> torch.optim.AdamW:
    """Make an AdamW with one learning rate for the adapter and one for classification heads."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    heads = [p for name, p in trained if name.startswith(HEADS)]
    adapter = [p for name, p in trained if not name.startswith(HEADS)]
    groups = [(adapter, training.learning_rate), (heads, training.head_learning_rate)]
    return torch.optim.AdamW(
        [{"params": params, "lr": rate} for params, rate in groups if params],
        weight_decay=training.weight_decay,
        fused=True,
    )


def read_moments(optimizer: torch.optim.Optimizer) -> AdapterState:
    """Return an optimiser's moments as named arrays, with an adapted clipping norm; the rest follows from the config."""
    state = optimizer.state_dict()
    arrays = {f"{k}/{name}": t.cpu().numpy().copy() for k, slot in state["state"].items() for name, t in slot.items()}
    if CLIPPING_NORM in state["param_groups"][0]:
        arrays[CLIPPING_NORM] = np.array([state["param_groups"][0][CLIPPING_NORM]], dtype=np.float32)
    return AdapterState(arrays)


def write_moments(optimizer: torch.optim.Optimizer, moments: AdapterState) -> None:
    """Set the state of an optimiser; moments of tensors of another shape, from before its rank was changed, are left out.

    Parameters
    ----------
    optimizer
        Optimiser from `optimizer_of`.
    moments
        What `read_moments` returned after an earlier round.
    """
    shapes = [tuple(tensor.shape) for group in optimizer.param_groups for tensor in group["params"]]
    named = {key.partition("/")[0]: array.shape for key, array in moments.arrays.items() if array.ndim and "/" in key}
    if any(shapes[int(index)] != shape for index, shape in named.items()):
        return
    slots: dict[int, dict[str, torch.Tensor]] = {}
    groups = optimizer.state_dict()["param_groups"]
    for key, array in moments.arrays.items():
        if key == CLIPPING_NORM:
            groups = [{**group, CLIPPING_NORM: float(array[0])} for group in groups]
            continue
        index, _, name = key.partition("/")
        slots.setdefault(int(index), {})[name] = torch.from_numpy(array.copy())
    optimizer.load_state_dict({"state": slots, "param_groups": groups})


def set_rates(optimizer: torch.optim.Optimizer, peaks: Sequence[float], factor: float) -> None:
    """Set the learning rate of each parameter group to a share of its peak, as the schedule says."""
    for group, peak in zip(optimizer.param_groups, peaks, strict=True):
        group["lr"] = peak * factor


def pull_to_start(optimizer: torch.optim.Optimizer, anchors: Mapping[nn.Parameter, torch.Tensor], strength: float) -> None:
    """Move each tensor towards its value at the start of the round, as AdamW's weight decay moves it towards 0.

    It depends on records only through the result of the private step, so it costs no privacy. FedProx (Li et al. 2020, arXiv
    1812.06127) puts the pull into the gradient instead, where clipping and the moments would see it.

    Parameters
    ----------
    optimizer
        Optimiser after a step.
    anchors
        Each tensor as it was at the start of the round.
    strength
        ``training.proximal``; 0 does nothing.
    """
    if not strength:
        return
    with torch.no_grad():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.lerp_(anchors[parameter], min(1.0, float(group["lr"]) * strength))


def refuse_large(optimizer: torch.optim.Optimizer) -> None:
    """Refuse to train on from an adapter with a number that an order may not contain either.

    Under privacy the numbers depend on records only through noised sums, so this costs no privacy.

    Parameters
    ----------
    optimizer
        Optimiser after a step.

    Raises
    ------
    RunError
        A number is NaN, infinite or beyond `LARGEST_NUMBER`.
    """
    trained = [parameter.detach() for group in optimizer.param_groups for parameter in group["params"]]
    # One number for all tensors, so that a GPU is waited for once a step; NaN is the largest of all, and not in the range.
    if not torch.stack([tensor.abs().max().float() for tensor in trained]).max() <= LARGEST_NUMBER:
        raise RunError(
            f"training: a step left NaN or a number beyond {LARGEST_NUMBER:g} in the adapter, so this round has no reply; "
            "set a smaller training.learning_rate or training.head_learning_rate"
        )
