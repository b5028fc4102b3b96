"""Compute one worker's share of each step of a site; this code runs in a process that `client.workers` started."""

import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection

import numpy as np
import numpy.typing as npt
import torch

from client.exactness import self_check
from client.trainer import accumulate, on_device
from client.units import Rows
from privacy.dp.engine import sharing
from privacy.dp.plan import PrivacyPlan
from privacy.dp.selfcheck import in_float32
from shared.adapters.peft import read_adapter, write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.ops.workers import answer
from shared.tasks import load_learner
from shared.tasks.base import Learner
from shared.tasks.examples import Example


@dataclass(frozen=True)
class Check:
    """Ask whether gradients of single records are exact in this process, on its device."""

    examples: Sequence[Example] = field(repr=False)
    distillation: float


@dataclass(frozen=True)
class Ready:
    """Report that the model is loaded or the check passed; ``packs`` says whether batches are computed without padding."""

    packs: bool


@dataclass(frozen=True)
class Part:
    """Ask for the share of a step: the clipped sum of these rows, for this adapter and this plan.

    The clipping norm of ``plan`` is that of this step. ``precise`` asks for float32 without dropout, which a check needs.
    """

    number: int
    adapter: AdapterState = field(repr=False)
    rows: Rows = field(repr=False)
    label_weights: npt.NDArray[np.float64] | None = field(repr=False)
    plan: PrivacyPlan | None
    precise: bool = False


@dataclass(frozen=True)
class Sum:
    """The share of a step, (d,), and the digest of the adapter for which it was computed."""

    number: int
    adapter: str
    total: npt.NDArray[np.float64] = field(repr=False)


def serve(pipe: Connection, config: RunConfig, processes: int) -> None:
    """Load the model, then answer orders until the pipe closes.

    Parameters
    ----------
    pipe
        This end of the pipe to the site's own process; this process talks to no other.
    config
        The run as the site carries it out.
    processes
        Number of processes at the site.
    """

    def build() -> Callable[[Check | Part], Ready | Sum]:
        learner = on_this_share(load_learner(config), processes)
        torch.manual_seed(secrets.randbits(63))  # masks of dropout must not follow from a public seed
        learner.model.train()
        pipe.send(Ready(learner.packs))
        return _Process(learner, config).answer

    answer(pipe, build)


class _Process:
    """The model of this process; a check may turn packing off."""

    def __init__(self, learner: Learner, config: RunConfig) -> None:
        self._learner, self._config = learner, config

    def answer(self, order: Check | Part) -> Ready | Sum:
        """Carry out an order."""
        if isinstance(order, Part):
            return share(self._learner, order, self._config)
        self._learner = self_check(self._learner, order.examples, len(order.examples), order.distillation)
        return Ready(self._learner.packs)


def share(learner: Learner, part: Part, config: RunConfig) -> Sum:
    """Return the clipped sum of some rows, without noise; it may go only to the process that adds the noise."""
    write_adapter(learner.model, part.adapter)
    learner.model.train()
    weights = on_device(part.label_weights, learner)
    with (
        in_float32(learner.model) if part.precise else nullcontext(),
        sharing(learner.model, part.plan) as (model, step),
    ):
        accumulate(learner, model, step, part.rows, weights, config.training)
        total = step.total().double().cpu().numpy()
    return Sum(part.number, read_adapter(learner.model).digest(), total)


def on_this_share(learner: Learner, processes: int) -> Learner:
    """Return a learner limited to its share of threads and memory if all processes of the site compute on one CPU."""
    if learner.base.device.type != "cpu" or processes == 1:
        return learner
    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // processes)))
    return replace(learner, memory_share=1 / processes)
