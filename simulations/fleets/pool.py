"""Workers that train the sites of one simulation, and the fleet that asks sites through them."""

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from client.data_stage.site_data import SiteData
from privacy.accounting import Accountant
from privacy.budget import Budget
from server.screening import Answer
from shared.ops.progress import Advance
from shared.tasks.base import Learner
from shared.tasks.examples import Example
from shared.wire.messages import Envelope, Order, TrainOrder
from simulations.fleets.hosting import DIED, Answered, Ask, Build, Embed, Encode, Failed, Response, Slip, Task
from simulations.fleets.local import FIRST_NODE, identify, message_to, opened, packed
from simulations.site_builder import SiteBuilder
from simulations.site_store import SiteStore

STATE = ".workers-"  # start of the name of the folder with the sites' records, moments and replies, while a pool runs


class Pool(ABC):
    """Workers that hold the sites of one simulation; each site stays with one worker, at its seat.

    A worker that dies is replaced, and its tasks are sent once more, one at a time. Records, moments and finished replies
    are on the disk, so the new worker builds a site again and continues as a real site does after a crash: a finished round
    is answered again, and a reserved budget stays spent.
    """

    def __init__(self) -> None:
        self._held = ExitStack()
        self._seats: Mapping[str, int] = {}
        self._given: dict[tuple[int, int], Envelope] = {}  # by worker and number of parameters: the envelope that it has

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()
        self._held.close()

    def start(
        self,
        builder: SiteBuilder,
        data: Sequence[SiteData],
        budgets: Mapping[str, Budget],
        accountant: Accountant,
        learner: Learner,
    ) -> None:
        """Start the workers and build all sites.

        Parameters
        ----------
        builder
            Builds a site; what the workers share is kept in a folder that goes with the pool.
        data, budgets
            The records of each site, and the budget of each.
        accountant
            Remembers the epsilons that were computed so far; each worker gets a copy.
        learner
            The model of this process, if this process is the worker (`OwnProcess`).

        Raises
        ------
        HushtuneError
            A site can't take part, as in one process; or a worker died.
        """
        for left in builder.folder.glob(f"{STATE}*"):  # by a simulation that was killed; the folder is locked by this one
            shutil.rmtree(left)
        folder = self._held.enter_context(tempfile.TemporaryDirectory(prefix=STATE, dir=builder.folder))
        state = Path(folder).resolve()
        for site in data:
            budget = budgets[site.section.id]
            SiteStore(state).put(site, budget.dataset, budget.ledger.head())
        shared = replace(builder, folder=builder.folder.resolve(), state=state)
        workers = self._open(shared, accountant, learner, len(data))
        self._seats = seats({site.section.id: site.section.declared_size for site in data}, workers)
        found = dict(self.ask(self._seats, lambda _: Build()))
        for name in (site.section.id for site in data):  # in this order, so that the same error is raised every time
            if isinstance(response := found[name], Failed):
                raise response.raised_for(name)

    def encoded(self, site: str) -> Sequence[Example]:
        """Return the encoded records of a site, which no process but its worker keeps.

        Raises
        ------
        RunError
            Its worker died.
        """
        [(_, response)] = self.ask([site], lambda _: Encode())
        if isinstance(response, Failed):
            raise response.raised_for(site)
        assert isinstance(response, list)  # noqa: S101  the answer to this task
        return response

    def embeddings(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """Return the base model's embeddings of each site's training records, (N, hidden).

        Raises
        ------
        RunError
            A worker died.
        """
        found = dict(self.ask(self._seats, lambda _: Embed()))
        for site, response in found.items():
            if isinstance(response, Failed):
                raise response.raised_for(site)
        return {site: response for site in self._seats if isinstance(response := found[site], np.ndarray)}

    def ask(self, sites: Iterable[str], task_of: Callable[[str], Task]) -> Iterator[tuple[str, Response]]:
        """Give each site a task, as soon as its worker is free; yield the responses as they come.

        Parameters
        ----------
        sites
            Names of sites.
        task_of
            Makes the task of a site, just before it is sent.
        """
        queues: dict[int, deque[str]] = {}
        for site in sites:
            queues.setdefault(self._seats[site], deque()).append(site)
        busy: dict[int, list[str]] = {}
        again: set[str] = set()  # sites whose worker died while it had their task

        def next_of(seat: int) -> None:
            if queue := queues[seat]:
                first = task_of(queue[0])
                most = 1 if queue[0] in again else self._at_once(first)
                busy[seat] = [queue.popleft() for _ in range(min(most, len(queue)))]
                tasks = [(site, first if site == busy[seat][0] else task_of(site)) for site in busy[seat]]
                self._send(seat, [(site, self._slipped(seat, task)) for site, task in tasks])

        for seat in queues:
            next_of(seat)
        while busy:
            for seat, responses in self._finished(list(busy)):
                asked = busy.pop(seat)
                if responses is None:
                    self._given = {place: envelope for place, envelope in self._given.items() if place[0] != seat}
                    lost = [site for site in asked if site in again]
                    queues[seat].extendleft(site for site in reversed(asked) if site not in again)
                    again.update(asked)
                    yield from ((site, Failed(DIED)) for site in lost)
                else:
                    yield from zip(asked, responses, strict=True)
                next_of(seat)

    def _slipped(self, seat: int, task: Task) -> Task:
        """Return the task with a slip in place of an order to train; give the worker the envelope unless it has it."""
        if not isinstance(task, Ask) or not isinstance(task.order, TrainOrder):
            return task
        order = task.order
        envelope = order.envelope or Envelope(order.config, order.adapter)
        if self._given.get((seat, order.adapter.parameters)) is not envelope:
            self._give(seat, envelope)
            self._given[seat, order.adapter.parameters] = envelope
        return replace(task, order=Slip.of(order))

    def _at_once(self, task: Task) -> int:
        """Return how many such tasks are sent to a worker together."""
        return 1

    @abstractmethod
    def _open(self, builder: SiteBuilder, accountant: Accountant, learner: Learner, sites: int) -> int:
        """Start workers, at most one for each site, and return their number."""

    @abstractmethod
    def _give(self, seat: int, envelope: Envelope) -> None:
        """Let a worker keep an envelope (`Host.take`) before its next tasks."""

    @abstractmethod
    def _send(self, seat: int, tasks: Sequence[tuple[str, Task]]) -> None:
        """Send a worker that is free tasks, each with its site."""

    @abstractmethod
    def _finished(self, seats: Sequence[int]) -> Iterable[tuple[int, Sequence[Response] | None]]:
        """Wait until one of these workers has answered or died; replace the dead, whose answer is None."""

    @abstractmethod
    def _close(self) -> None:
        """End the workers."""


class PoolFleet:
    """Asks the sites of a pool, each worker's sites one after another; counts the bytes that `LocalFleet` would count."""

    def __init__(self, pool: Pool, sites: Sequence[str], advance: Advance) -> None:
        self._pool, self._advance = pool, advance
        self._nodes = {site: FIRST_NODE + number for number, site in enumerate(sites)}
        identify()

    def connected(self) -> tuple[str, ...]:
        """Return all sites."""
        return tuple(self._nodes)

    def ask(self, orders: Mapping[str, Order], deadline: float) -> Iterator[Answer]:
        """Yield each site's answer as it comes; in a simulation every site is waited for, so the deadline never passes."""
        for site, response in self._pool.ask(orders, lambda site: Ask(self._nodes[site], orders[site])):
            if isinstance(response, Answered):
                reply = response.reply
                yield Answer(site, opened(reply).content, None, response.bytes_down, reply.size)
            else:
                assert isinstance(response, Failed)  # noqa: S101  there is no third answer to an order
                down = response.bytes_down
                if response.error == DIED:  # a dead worker does not tell how large the order was that it had taken
                    down = packed(message_to(self._nodes[site], orders[site])).size
                yield Answer(site, None, response.error, down, 0)
            self._advance(1)


def seats(sizes: Mapping[str, int], workers: int) -> Mapping[str, int]:
    """Assign each site to a worker: the largest site first, each to the worker with the least work so far.

    A site's declared size decides how many records a step computes, so it stands for the time of an order. By Graham (1969,
    doi 10.1137/0117039), the last worker then ends at most a third later than in the best division.
    """
    load, seat = [0] * workers, dict.fromkeys(sizes, 0)  # the baselines rely on this order, which is that of the sites
    for site in sorted(sizes, key=lambda name: (-sizes[name], name)):
        seat[site] = min(range(workers), key=lambda number: (load[number], number))
        load[seat[site]] += sizes[site]
    return seat
