"""Run the sites of a simulation in the processes of a Ray cluster, on one machine or several that share a folder."""

import logging
import os
import socket
import time
from collections.abc import Iterable, Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from privacy.accounting import Accountant
from shared.errors import RunError
from shared.tasks.base import Learner
from shared.wire.messages import Envelope, TrainOrder
from simulations.fleets.hosting import Ask, Failed, Host, Response, Task, failed, opened_host
from simulations.fleets.pool import Pool
from simulations.site_builder import SiteBuilder

PAUSES = (1, 2, 4, 8, 16, 32)  # seconds between attempts to replace a worker; Ray notices a lost machine in about 30
PATIENCE = 10.0  # seconds to reach a cluster
START = 300.0  # seconds until a new worker runs; it imports the libraries and loads the base model first
MOST_AT_ONCE, BYTES_AT_ONCE = 8, 2**21  # orders to train in one message to a worker, and bytes of the replies in one message
OWN = "local"  # in place of an address: a cluster of this machine alone, which ends with the run


class RayPool(Pool):
    """One worker for each processor of a Ray cluster.

    An envelope is put once into Ray's object store, from where each worker takes it once. If a machine is lost, its sites
    continue on other machines, from the run's folder.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self._crew: list[Any] = []
        self._built_with: tuple[Any, ...] = ()
        self._answers: dict[int, Any] = {}  # seat: Ray's reference to the answer to come
        self._stored: dict[int, tuple[Envelope, Any]] = {}  # by number of parameters: envelope and Ray's reference to it
        _join(address)
        self._held.callback(ray.shutdown)

    def _open(self, builder: SiteBuilder, accountant: Accountant, learner: Learner, sites: int) -> int:
        processors = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        if not sum(processors):
            raise RunError("--ray: the cluster has no processor; start a node with one (ray start --num-cpus)")
        self._built_with = (ray.put((builder, accountant)), os.getcwd(), 1 / max(processors))
        self._crew = [self._worker(1) for _ in range(min(sum(processors), sites))]
        return len(self._crew)

    def _worker(self, processors: int) -> Any:
        return ray.remote(RayWorker).options(num_cpus=processors, scheduling_strategy="SPREAD").remote(*self._built_with)

    def _at_once(self, task: Task) -> int:
        """Return how many such tasks are sent together: a message costs this process more time in Ray than a reply."""
        if not isinstance(task, Ask) or not isinstance(task.order, TrainOrder):
            return 1
        return max(1, min(MOST_AT_ONCE, BYTES_AT_ONCE // (4 * task.order.adapter.parameters)))

    def _give(self, seat: int, envelope: Envelope) -> None:
        size = envelope.adapter.parameters
        if size not in self._stored or self._stored[size][0] is not envelope:
            self._stored[size] = envelope, ray.put(envelope)
        self._crew[seat].take.remote(self._stored[size][1])

    def _send(self, seat: int, tasks: Sequence[tuple[str, Task]]) -> None:
        self._answers[seat] = self._crew[seat].answer.remote(tasks)

    def _finished(self, seats: Sequence[int]) -> Iterable[tuple[int, Sequence[Response] | None]]:
        by_answer = {self._answers[seat]: seat for seat in seats}
        ready, _ = ray.wait(list(by_answer), num_returns=1)
        return [(by_answer[answer], self._received(by_answer[answer], answer)) for answer in ready]

    def _received(self, seat: int, answer: Any) -> Sequence[Response] | None:
        try:
            responses: Sequence[Response] = ray.get(answer)
        except RayError:
            self._crew[seat] = self._replacement()
            return None
        return responses

    def _replacement(self) -> Any:
        """Start a worker in place of a dead one; it reserves no processor, so that it fits into what is left of the cluster.

        Ray may still place a worker on a machine that was just lost; then another one is started.
        """
        for pause in PAUSES:
            worker = self._worker(0)
            try:
                ray.get(worker.start.remote(), timeout=START)
            except RayError:
                time.sleep(pause)
            else:
                return worker
        raise RunError("--ray: the cluster starts no worker any more; look at its state with ray status, and run again")

    def _close(self) -> None:
        for worker in self._crew:
            ray.kill(worker)


class RayWorker:
    """A worker of the cluster, on any machine; it prints nothing, and an error leaves it only as a `Failed`."""

    def __init__(self, given: tuple[SiteBuilder, Accountant], folder: str, share: float) -> None:
        try:
            os.chdir(folder)  # a relative path of the config, such as that of the ledgers, means the same everywhere
        except OSError as error:
            reason = f"a machine of the cluster has no folder {folder} ({type(error).__name__})"
            self._host: Host | Failed = failed(RunError(f"--ray: {reason}; start the run in one that all machines share"))
            return
        self._host = opened_host(*given, share, threads=1)

    def start(self) -> None:
        """Return when the worker runs."""

    def take(self, envelope: Envelope) -> None:
        """Keep an envelope; Ray replaces the reference that was sent by the envelope itself."""
        if isinstance(self._host, Host):
            self._host.take(envelope)

    def answer(self, tasks: Sequence[tuple[str, Task]]) -> Sequence[Response]:
        """Carry out tasks, each with its site."""
        host = self._host
        return [host if isinstance(host, Failed) else host.answer(site, task) for site, task in tasks]


def _join(address: str) -> None:
    """Connect this process to a cluster, or start one of this machine alone; Ray's statistics of use are switched off."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    host, _, port = address.rpartition(":")
    try:
        if host:  # Ray itself would wait a minute for an answer
            socket.create_connection((host, int(port)), PATIENCE).close()
        ray.init(
            None if address == OWN else address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False
        )
    except (OSError, ValueError, RuntimeError, RayError) as error:
        raise RunError(
            f"--ray {address}: no Ray cluster answers there ({type(error).__name__}); start one with ray start --head, or "
            f"use --ray {OWN}"
        ) from error
