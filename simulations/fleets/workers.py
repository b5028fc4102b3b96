"""Run the sites of a simulation in worker processes of this machine, each with its own base model."""

import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait

import torch

from privacy.accounting import Accountant
from shared.ops.workers import Worker, start
from shared.tasks.base import Learner
from shared.wire.messages import Envelope, TrainOrder
from simulations.fleets.hosting import Ask, Failed, Response, Slip, Task, opened_host
from simulations.fleets.pool import Pool
from simulations.site_builder import SiteBuilder


@dataclass(frozen=True)
class Request:
    """What a worker is asked of a site; the envelope of an order comes only if the worker does not hold it already."""

    site_id: str
    task: Task
    envelope: Envelope | None = None


class WorkerPool(Pool):
    """Worker processes on this machine."""

    def __init__(self, workers: int) -> None:
        super().__init__()
        self._wanted = workers
        self._crew: list[Worker] = []
        self._sent: list[Envelope | None] = []
        self._start: Callable[[], Worker] | None = None

    def _open(self, builder: SiteBuilder, accountant: Accountant, learner: Learner, sites: int) -> int:
        processes = min(self._wanted, sites)
        threads = max(1, torch.get_num_threads() // processes)
        self._start = partial(start, serve, builder, accountant, 1 / processes, threads)
        self._crew, self._sent = [self._start() for _ in range(processes)], [None] * processes
        return processes

    def _send(self, seat: int, tasks: Sequence[tuple[str, Task]]) -> None:
        [(site, task)] = tasks
        request = Request(site, task)
        if isinstance(task, Ask) and isinstance(task.order, TrainOrder):
            order = task.order
            envelope = order.envelope or Envelope(order.config, order.adapter)
            known = envelope is self._sent[seat]
            request = Request(site, replace(task, order=Slip.of(order)), None if known else envelope)
            self._sent[seat] = envelope
        try:
            self._crew[seat].pipe.send(request)
        except OSError:  # the worker is dead, and nothing but the end of its pipe is left to be received
            return

    def _finished(self, seats: Sequence[int]) -> Iterable[tuple[int, Sequence[Response] | None]]:
        ready = set(wait([self._crew[seat].pipe for seat in seats]))
        return [(seat, self._received(seat)) for seat in seats if self._crew[seat].pipe in ready]

    def _received(self, seat: int) -> Sequence[Response] | None:
        assert self._start is not None  # noqa: S101  there is a crew, so it was started
        try:
            response: Response = self._crew[seat].pipe.recv()
        except (EOFError, OSError):
            self._crew[seat].end()
            self._crew[seat], self._sent[seat] = self._start(), None
            return None
        return [response]

    def _close(self) -> None:
        for worker in self._crew:
            worker.end()


def serve(pipe: Connection, builder: SiteBuilder, accountant: Accountant, share: float, threads: int) -> None:
    """Answer requests until the pipe closes; this function runs in a worker process, which prints nothing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent receives it too, and ends its workers
    host, envelope = opened_host(builder, accountant, share, threads), None
    try:
        while True:
            request: Request = pipe.recv()
            envelope = request.envelope or envelope
            pipe.send(host if isinstance(host, Failed) else host.answer(request.site_id, request.task, envelope))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
