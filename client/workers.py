"""Split each step of a site over several processes, one for each GPU; only this process samples and adds noise.

Each worker computes the clipped sum of its share of a batch and returns it over its pipe. Only the site's own processes can
open a pipe. Torch.distributed would listen on a port to which every user of the machine can connect, and sums without noise
would pass through that port. Only the optimiser of this process takes steps; the workers get the current adapter with each
order. If a worker dies, the step under way is not taken and nothing is released.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from client.exactness import longest_and_shortest, loss_of
from client.trainer import accumulate
from client.units import Rows, split
from client.worker import Check, Part, Ready, Sum, serve
from privacy.dp.engine import PrivateStep, PrivateSum, sharing
from privacy.dp.plan import PrivacyPlan
from privacy.dp.selfcheck import in_float32, refuse_unequal_sum
from shared.adapters.peft import read_adapter
from shared.config.run import RunConfig
from shared.errors import PrivacyError, RunError
from shared.ops.workers import Broken, Worker, start
from shared.tasks.base import Learner
from shared.tasks.examples import Example

T = TypeVar("T")
WHO = "a process of this site"
DIED = (
    "the step was not taken and nothing is released; the process may have run out of memory: set "
    "training.micro_batch_tokens in the run, or fewer processes in [model] of SITE.toml"
)
Weights = npt.NDArray[np.float64] | None


class Joined(Protocol):
    """A step, or a sum, to which other processes add."""

    def join(self, share: torch.Tensor, units: int) -> None:
        """Add the share that another process computed over so many units."""


class Workers:
    """Start and ask the other processes of a site; all of them start at the first use, and anew after one has died.

    Parameters
    ----------
    config
        The run as the site carries it out.
    processes
        Number of processes at the site, this one included; 2 or more.
    """

    def __init__(self, config: RunConfig, processes: int) -> None:
        self._config, self.processes = config, processes
        self._crew: list[Worker] = []
        self._number = 0
        self._learner: Learner | None = None
        self._plan: PrivacyPlan | None = None

    def ensure_running(self, learner: Learner, plan: PrivacyPlan | None, examples: Sequence[Example]) -> None:
        """Start the workers if none runs; then check each worker, and a sum over all processes.

        Parameters
        ----------
        learner
            The model of this process.
        plan
            The site's plan; None without privacy, when nothing is checked.
        examples
            Encoded records, from which the checks take the longest and the shortest.

        Raises
        ------
        PrivacyError
            Gradients are not exact in a process, or a sum over all processes differs from the sum of single records.
        RunError
            A worker could not start, or died.
        """
        self._learner, self._plan = learner, plan
        if self._crew:
            return
        with self._ended_by_failure():
            device = learner.base.device
            for place in range(1, self.processes):
                self._crew.append(
                    start(serve, self._config, self.processes, environment=environment_of(place, device, os.environ))
                )
            for worker in self._crew:
                self._answer(worker, Ready)
            if plan is not None:
                self._check(learner, plan, examples)

    @contextmanager
    def sharing(self, step: Joined, rows: Rows, label_weights: Weights, *, precise: bool = False) -> Iterator[Rows]:
        """Hand out the rows of a step, yield the rows of this process, and at the end add the other shares to the step.

        Parameters
        ----------
        step
            The step, which adds the noise of all shares at its end.
        rows
            All rows of the step.
        label_weights
            Weight of each label's losses.
        precise
            Whether to compute in float32 without dropout.

        Raises
        ------
        RunError
            A worker died; the step must not be finished.
        PrivacyError
            A share was computed for another step or adapter, or is larger than its rows can add up to.
        """
        assert self._learner is not None  # noqa: S101  ensure_running comes first
        own, *others = split(rows, self.processes)
        with self._ended_by_failure():
            self._number += 1
            adapter = read_adapter(self._learner.model)
            plan = self._plan
            if plan is not None and isinstance(step, PrivateStep):
                plan = replace(plan, clipping_norm=step.bound)
            for worker, part in zip(self._crew, others, strict=True):
                self._send(worker, Part(self._number, adapter, part, label_weights, plan, precise))
            yield own
            expected = (self._number, adapter.digest())
            for worker, part in zip(self._crew, others, strict=True):
                answer = self._answer(worker, Sum)
                if (answer.number, answer.adapter) != expected:
                    raise PrivacyError(
                        "a process of this site answered for another step, so nothing is released; report this as a bug"
                    )
                step.join(torch.from_numpy(answer.total), len(part.units))

    def close(self) -> None:
        """End the workers."""
        for worker in self._crew:
            worker.end()
        self._crew = []

    def _check(self, learner: Learner, plan: PrivacyPlan, examples: Sequence[Example]) -> None:
        """Check the gradients of each process on its device, then a sum over all processes."""
        config = self._config
        chosen, distillation = longest_and_shortest(examples, config.privacy.self_check), config.training.distillation
        for worker in self._crew:
            self._send(worker, Check(chosen, distillation))
        for worker in self._crew:
            self._answer(worker, Ready)
        rows = Rows(chosen, [(row,) for row in range(len(chosen))])
        with in_float32(learner.model), sharing(learner.model, plan) as (model, step):
            assert isinstance(step, PrivateSum)  # noqa: S101  there is a plan
            with self.sharing(step, rows, None, precise=True) as own:
                accumulate(learner, model, step, own, None, config.training)
            total = step.total()
        with loss_of(learner, chosen, distillation) as losses:
            refuse_unequal_sum(total, learner.model, losses, len(chosen), plan)

    @contextmanager
    def _ended_by_failure(self) -> Iterator[None]:
        """End all workers if the block fails, because an answer that is still under way belongs to no later step."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _send(self, worker: Worker, order: Any) -> None:
        worker.exchange(lambda: worker.pipe.send(order), WHO, DIED)

    def _answer(self, worker: Worker, kind: type[T]) -> T:
        answer = worker.exchange(worker.pipe.recv, WHO, DIED)
        if isinstance(answer, Broken):
            raise RunError(f"a process of this site failed: {answer.message}")
        assert isinstance(answer, kind)  # noqa: S101  workers answer in order
        return answer


def environment_of(place: int, device: torch.device, present: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment variables by which a worker sees one GPU only, as its GPU 0.

    Parameters
    ----------
    place
        Number of the process, from 0, which is also the number of its GPU among those that the site may use.
    device
        Where the site computes.
    present
        Environment of this process.
    """
    if device.type != "cuda":
        return {}
    visible = present.get("CUDA_VISIBLE_DEVICES", "")
    return {"CUDA_VISIBLE_DEVICES": visible.split(",")[place].strip() if visible else str(place)}
