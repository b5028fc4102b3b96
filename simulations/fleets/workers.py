"""Run the sites of a simulation in worker processes of this machine, each with its own base model."""

import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait

import torch

from privacy.accounting import Accountant
from shared.ops.workers import Worker, start
from shared.tasks.base import Learner
from shared.wire.messages import Envelope
from simulations.fleets.hosting import Failed, Host, Response, Task, opened_host
from simulations.fleets.pool import Pool
from simulations.site_builder import SiteBuilder

Message = Envelope | tuple[str, Task]  # what a worker receives; it answers only the second, a site and its task


class WorkerPool(Pool):
    """Worker processes on this machine."""

    def __init__(self, workers: int) -> None:
        super().__init__()
        self._wanted = workers
        self._crew: list[Worker] = []
        self._start: Callable[[], Worker] | None = None

    def _open(self, builder: SiteBuilder, accountant: Accountant, learner: Learner, sites: int) -> int:
        processes = min(self._wanted, sites)
        threads = max(1, torch.get_num_threads() // processes)
        self._start = partial(start, serve, builder, accountant, 1 / processes, threads)
        self._crew = [self._start() for _ in range(processes)]
        return processes

    def _give(self, seat: int, envelope: Envelope) -> None:
        self._write(seat, envelope)

    def _send(self, seat: int, tasks: Sequence[tuple[str, Task]]) -> None:
        [task] = tasks
        self._write(seat, task)

    def _write(self, seat: int, message: Message) -> None:
        with suppress(OSError):  # the worker is dead, and nothing but the end of its pipe is left to be received
            self._crew[seat].pipe.send(message)

    def _finished(self, seats: Sequence[int]) -> Iterable[tuple[int, Sequence[Response] | None]]:
        ready = set(wait([self._crew[seat].pipe for seat in seats]))
        return [(seat, self._received(seat)) for seat in seats if self._crew[seat].pipe in ready]

    def _received(self, seat: int) -> Sequence[Response] | None:
        assert self._start is not None  # noqa: S101  there is a crew, so it was started
        try:
            response: Response = self._crew[seat].pipe.recv()
        except (EOFError, OSError):
            self._crew[seat].end()
            self._crew[seat] = self._start()
            return None
        return [response]

    def _close(self) -> None:
        for worker in self._crew:
            worker.end()


def serve(pipe: Connection, builder: SiteBuilder, accountant: Accountant, share: float, threads: int) -> None:
    """Carry out tasks until the pipe closes; this function runs in a worker process, which prints nothing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent receives it too, and ends its workers
    host = opened_host(builder, accountant, share, threads)
    try:
        while True:
            message: Message = pipe.recv()
            if not isinstance(message, Envelope):
                pipe.send(host if isinstance(host, Failed) else host.answer(*message))
            elif isinstance(host, Host):
                host.take(message)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
