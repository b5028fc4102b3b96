"""Run the sites of a simulation in worker processes, each with its own base model; messages are as in one process."""

import os
import shutil
import signal
import tempfile
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

import shared.errors
from client.app import client_app
from client.data_stage.site_data import SiteData
from client.site import Site
from privacy.accounting import Accountant
from server.screening import Answer
from shared.errors import HushtuneError, RunError
from shared.ops.progress import Advance
from shared.ops.workers import Worker, start
from shared.tasks import load_learner
from shared.tasks.base import Learner
from shared.tasks.cached_activations import embed
from shared.tasks.examples import Example
from shared.wire.messages import Order
from simulations.fleets.local import FIRST_NODE, Parcel, context_of, identify, message_to, opened, packed
from simulations.site_builder import Learners, SiteBuilder

MOST_SITES = 64  # sites that a worker keeps in memory; a site that was dropped is built again when it is asked
DIED = "WorkerDied"
STATE = ".workers-"  # start of the name of the folder with the sites' moments and replies, while a pool runs


@dataclass(frozen=True)
class Build:
    """Asks a worker for a site's encoded records; the answer is a list of examples."""


@dataclass(frozen=True)
class Embed:
    """Asks a worker for the base model's embeddings of a site's records; the answer is an array (N, hidden)."""


@dataclass(frozen=True)
class Ask:
    """Asks a worker to carry out an order; the answer is the parcel of the site's reply."""

    node: int
    order: Parcel


@dataclass(frozen=True)
class Request:
    """What a worker is asked about a site; ``data`` are the site's records, if it must be built first."""

    site_id: str
    task: Build | Embed | Ask
    data: SiteData | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Absent:
    """Says that the worker has not built this site, so it needs the site's records."""


@dataclass(frozen=True)
class Failed:
    """Names the class of the exception that a site raised.

    The message is kept only if the exception is one of our own, which quote no text, and the site was not asked to train.
    """

    error: str
    message: str = ""


Response = list[Example] | npt.NDArray[np.float32] | Parcel | Failed


class WorkerPool:
    """Worker processes that hold the sites of one simulation; each site stays with one worker.

    A worker that dies is replaced. Moments and finished replies are on the disk, so the new worker builds the site again and
    goes on as a real site does after a crash: what was reserved stays spent.
    """

    def __init__(self, workers: int) -> None:
        self._wanted = workers
        self._held = ExitStack()
        self._crew: list[Worker] = []
        self._start: Callable[[], Worker] | None = None
        self._seats: Mapping[str, int] = {}
        self._data: Mapping[str, SiteData] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for worker in self._crew:
            worker.end()
        self._held.close()

    def start(
        self, builder: SiteBuilder, data: Sequence[SiteData], accountant: Accountant
    ) -> Mapping[str, Sequence[Example]]:
        """Start the processes and build all sites; return the encoded records of each.

        Parameters
        ----------
        builder
            Builds a site; moments and replies are kept in a folder that goes with the pool.
        data
            The records of each site.
        accountant
            Remembers the epsilons that were computed so far; each worker gets a copy.

        Raises
        ------
        HushtuneError
            A site can't take part, as in one process; or a worker died.
        """
        for left in builder.folder.glob(f"{STATE}*"):  # by a simulation that was killed; the folder is locked by this one
            shutil.rmtree(left)
        folder = self._held.enter_context(tempfile.TemporaryDirectory(prefix=STATE, dir=builder.folder))
        processes = min(self._wanted, len(data))
        threads = max(1, torch.get_num_threads() // processes)
        given = (replace(builder, state=Path(folder)), accountant, processes, threads)
        self._start = partial(start, serve, *given)
        self._data = {site.section.id: site for site in data}
        self._seats = seats({site.section.id: site.section.declared_size for site in data}, processes)
        self._crew = [self._start() for _ in range(processes)]
        found = dict(self.ask(self._data, lambda _: Build(), fresh=True))
        for site in self._data:  # in the order of the config, so that the same error is told every time
            response = found[site]
            if isinstance(response, Failed):
                raise _error_of(site, response)
        return {site: response for site in self._data if isinstance(response := found[site], list)}

    def embeddings(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """Return the base model's embeddings of each site's training records, (N, hidden).

        Raises
        ------
        RunError
            A worker died.
        """
        found = dict(self.ask(self._data, lambda _: Embed()))
        for site, response in found.items():
            if isinstance(response, Failed):
                raise _error_of(site, response)
        return {site: response for site in self._data if isinstance(response := found[site], np.ndarray)}

    def ask(
        self, sites: Iterable[str], task_of: Callable[[str], Build | Embed | Ask], fresh: bool = False
    ) -> Iterator[tuple[str, Response]]:
        """Give each site a task, as soon as its worker is free; yield the responses as they come.

        Parameters
        ----------
        sites
            Names of sites.
        task_of
            Makes the task of a site, just before it is sent.
        fresh
            Whether no worker has built any of these sites yet.
        """
        queues: list[deque[str]] = [deque() for _ in self._crew]
        for site in sites:
            queues[self._seats[site]].append(site)
        busy: dict[int, Request] = {}
        for seat, queue in enumerate(queues):
            yield from self._next(seat, queue, busy, task_of, fresh)
        while busy:
            by_pipe: Mapping[Connection, int] = {self._crew[seat].pipe: seat for seat in busy}
            for pipe in wait(list(by_pipe)):
                seat = by_pipe[pipe]  # type: ignore[index]
                request, response = busy.pop(seat), self._received(seat)
                if isinstance(response, Absent):
                    again = replace(request, data=self._data[request.site_id])
                    if self._sent(seat, again):
                        busy[seat] = again
                        continue
                    response = Failed(DIED)
                yield request.site_id, response
                yield from self._next(seat, queues[seat], busy, task_of, fresh)

    def _next(
        self,
        seat: int,
        queue: deque[str],
        busy: dict[int, Request],
        task_of: Callable[[str], Build | Embed | Ask],
        fresh: bool,
    ) -> Iterator[tuple[str, Response]]:
        """Send a free worker its next request; yield a failure for each site whose request found the worker dead."""
        while queue:
            site = queue.popleft()
            request = Request(site, task_of(site), self._data[site] if fresh else None)
            if self._sent(seat, request):
                busy[seat] = request
                return
            yield site, Failed(DIED)

    def _sent(self, seat: int, request: Request) -> bool:
        try:
            self._crew[seat].pipe.send(request)
        except OSError:
            self._replace(seat)
            return False
        return True

    def _received(self, seat: int) -> Response | Absent:
        try:
            response: Response | Absent = self._crew[seat].pipe.recv()
        except (EOFError, OSError):
            self._replace(seat)
            return Failed(DIED)
        return response

    def _replace(self, seat: int) -> None:
        assert self._start is not None  # noqa: S101  there is a crew, so it was started
        self._crew[seat].end()
        self._crew[seat] = self._start()


class WorkerFleet:
    """Asks the sites of a pool, each worker's sites one after another; the bytes counted are those of one process."""

    def __init__(self, pool: WorkerPool, sites: Sequence[str], advance: Advance) -> None:
        self._pool, self._advance = pool, advance
        self._nodes = {site: FIRST_NODE + number for number, site in enumerate(sites)}
        identify()

    def connected(self) -> tuple[str, ...]:
        """Return all sites."""
        return tuple(self._nodes)

    def ask(self, orders: Mapping[str, Order], deadline: float) -> Iterator[Answer]:
        """Yield each site's answer as it comes; on one machine every site is waited for, so the deadline never passes."""
        down: dict[str, int] = {}

        def task_of(site: str) -> Ask:
            parcel = packed(message_to(self._nodes[site], orders[site]))
            down[site] = parcel.size
            return Ask(self._nodes[site], parcel)

        for site, response in self._pool.ask(orders, task_of):
            if isinstance(response, Parcel):
                yield Answer(site, opened(response).content, None, down[site], response.size)
            else:
                error = response.error if isinstance(response, Failed) else type(response).__name__
                yield Answer(site, None, error, down[site], 0)
            self._advance(1)


def seats(sizes: Mapping[str, int], workers: int) -> Mapping[str, int]:
    """Assign each site to a worker: the largest site first, each to the worker with the least work so far.

    A site's declared size decides how many records a step computes, so it stands for the time of an order. By Graham (1969,
    doi 10.1137/0117039), the last worker then ends at most a third later than in the best division.

    Parameters
    ----------
    sizes
        Declared size of each site.
    workers
        Number of workers.
    """
    load, seat = [0] * workers, dict[str, int]()
    for site in sorted(sizes, key=lambda name: (-sizes[name], name)):
        seat[site] = min(range(workers), key=lambda number: (load[number], number))
        load[seat[site]] += sizes[site]
    return seat


def serve(pipe: Connection, builder: SiteBuilder, accountant: Accountant, processes: int, threads: int) -> None:
    """Answer requests until the pipe closes; this function runs in a worker process, which prints nothing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent receives it too, and ends its workers
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # this also silences libraries that write without Python
        os.dup2(null, stream)
    torch.set_num_threads(threads)
    identify()
    try:
        sites: _Sites | Failed = _Sites(
            builder, replace(load_learner(builder.config), memory_share=1 / processes), accountant
        )
    except Exception as error:
        sites = _failed(error)
    try:
        while True:
            request = pipe.recv()
            pipe.send(sites if isinstance(sites, Failed) else sites.answer(request))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


class _Sites:
    """The sites of one worker, the most recently asked ones in memory."""

    def __init__(self, builder: SiteBuilder, learner: Learner, accountant: Accountant) -> None:
        self._builder, self._accountant = builder, accountant
        self._learner, self._learners = learner, Learners(builder.config, learner)
        self._built: OrderedDict[str, Site] = OrderedDict()

    def answer(self, request: Request) -> Response | Absent:
        """Carry out a request."""
        try:
            if request.data is not None:
                self._build(request.site_id, request.data)
            site = self._built.get(request.site_id)
            if site is None:
                return Absent()
            self._built.move_to_end(request.site_id)
            return self._carry_out(site, request.task)
        except Exception as error:
            return Failed(type(error).__name__) if isinstance(request.task, Ask) else _failed(error)

    def _build(self, site_id: str, data: SiteData) -> None:
        self._built[site_id] = self._builder.build(data, self._learners, self._accountant)
        # A site of a secure sum holds its open attempt in memory, so none is dropped then.
        if len(self._built) > MOST_SITES and not self._builder.keys:
            self._built.popitem(last=False)

    def _carry_out(self, site: Site, task: Build | Embed | Ask) -> Response:
        if isinstance(task, Ask):
            return packed(client_app(site, sums=site)(opened(task.order), context_of(task.node)))
        examples, prefix = site.encoded
        if isinstance(task, Embed):
            return embed(self._learner, examples, prefix, self._learner.tokens(self._builder.config.training))
        return list(examples)


def _failed(error: Exception) -> Failed:
    return Failed(type(error).__name__, str(error) if isinstance(error, HushtuneError) else "")


def _error_of(site: str, failed: Failed) -> HushtuneError:
    """Return the error that a failure stands for: our own with its message, else one that names only its class."""
    kind = getattr(shared.errors, failed.error, None)
    if failed.message and isinstance(kind, type) and issubclass(kind, HushtuneError):
        ours = kind.__new__(kind)
        ours.args = (failed.message,)
        return ours
    if failed.error == DIED:
        return RunError(
            f"site {site}: the worker process that was building it died; it may have run out of memory: set fewer --workers"
        )
    return RunError(f"site {site}: cannot be built in a worker process ({failed.error}); run without --workers to see more")
