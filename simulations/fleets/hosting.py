"""Hold the sites of one worker: build each from its folder when it is asked, and keep the last ones in memory."""

import os
from collections import OrderedDict
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

import shared.errors
from client.app import client_app
from client.site import Site
from privacy.accounting import Accountant
from shared.errors import HushtuneError, RunError
from shared.tasks import load_learner
from shared.tasks.base import Learner
from shared.tasks.cached_activations import embed
from shared.tasks.examples import Example
from shared.wire.messages import Envelope, Order, TrainOrder
from simulations.fleets.local import Parcel, context_of, identify, message_to, opened, packed
from simulations.site_builder import Learners, SiteBuilder

MOST_SITES = 64  # sites that a worker keeps in memory; a site that was dropped is built again when it is asked
DIED = "WorkerDied"
IN_COMMON = frozenset({"config", "adapter", "envelope"})  # fields of an order that an envelope holds


@dataclass(frozen=True)
class Build:
    """Asks to build a site, which shows before the first round whether it can take part; the answer is a `Built`."""


@dataclass(frozen=True)
class Built:
    """Says that a site can take part."""


@dataclass(frozen=True)
class Encode:
    """Asks for a site's encoded records; the answer is a list of examples."""


@dataclass(frozen=True)
class Embed:
    """Asks for the base model's embeddings of a site's records; the answer is an array (N, hidden)."""


@dataclass(frozen=True)
class Slip:
    """An order to train without its envelope, which a worker gets once for all orders of a round to sites of one rank.

    ``parameters``, the size of the envelope's adapter, tells the envelopes of different ranks apart.
    """

    parameters: int
    own: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, order: TrainOrder) -> Self:
        """Return the order without its envelope."""
        own = {each.name: getattr(order, each.name) for each in fields(order) if each.name not in IN_COMMON}
        return cls(order.adapter.parameters, own)

    def order(self, envelope: Envelope) -> TrainOrder:
        """Return the order with its envelope."""
        return TrainOrder(config=envelope.config, adapter=envelope.adapter, envelope=envelope, **self.own)


@dataclass(frozen=True)
class Ask:
    """Asks a site to carry out an order; the answer is an `Answered`."""

    node: int
    order: Order | Slip


@dataclass(frozen=True)
class Answered:
    """A site's reply as it is on the wire, and the bytes of the order."""

    reply: Parcel
    bytes_down: int


@dataclass(frozen=True)
class Failed:
    """Says that a task failed, and names the class of the exception.

    The message is kept only if the exception is one of our own, which quote no text, and the site was not asked to train.
    """

    error: str
    message: str = ""
    bytes_down: int = 0

    def raised_for(self, site: str) -> HushtuneError:
        """Return the error that the failure stands for: our own with its message, else one that names only its class."""
        kind = getattr(shared.errors, self.error, None)
        if self.message and isinstance(kind, type) and issubclass(kind, HushtuneError):
            ours = kind.__new__(kind)
            ours.args = (self.message,)
            return ours
        if self.error == DIED:
            return RunError(
                f"site {site}: the worker process that was building it died, perhaps for lack of memory; set fewer workers"
            )
        return RunError(f"site {site}: cannot be built in a worker process ({self.error}); run in one process to see more")


Task = Build | Encode | Embed | Ask
Response = Built | list[Example] | npt.NDArray[np.float32] | Answered | Failed


class Host:
    """The sites of one worker, the most recently asked ones in memory."""

    def __init__(self, builder: SiteBuilder, learner: Learner, accountant: Accountant) -> None:
        self._builder, self._accountant = builder, accountant
        self._learner, self._learners = learner, Learners(builder.config, learner)
        self._built: OrderedDict[str, Site] = OrderedDict()
        self._packs: dict[str, bool] = {}  # of each site whose gradients were checked here: whether its batches are packed
        self._envelopes: dict[int, Envelope] = {}

    def take(self, envelope: Envelope) -> None:
        """Keep an envelope for the next slips, in place of an earlier one of the same size."""
        self._envelopes[envelope.adapter.parameters] = envelope

    def answer(self, site_id: str, task: Task) -> Response:
        """Carry out a task; an error of the site becomes a `Failed`."""
        if isinstance(task, Ask):
            return self._ask(site_id, task)
        try:
            examples, prefix = self._site(site_id).encoded
            if isinstance(task, Build):
                return Built()
            if isinstance(task, Embed):
                return embed(self._learner, examples, prefix, self._learner.tokens(self._builder.config.training))
            return list(examples)
        except Exception as error:
            return failed(error)

    def _ask(self, site_id: str, task: Ask) -> Answered | Failed:
        order, down = task.order, 0
        if isinstance(order, Slip):
            order = order.order(self._envelopes[order.parameters])
        try:
            sent = packed(message_to(task.node, order))
            down = sent.size
            app, context = client_app(self._site(site_id)), context_of(task.node)
            return Answered(packed(app(opened(sent), context)), down)
        except Exception as error:
            return Failed(type(error).__name__, bytes_down=down)

    def _site(self, site_id: str) -> Site:
        if site_id not in self._built:
            site = self._builder.build_again(site_id, self._learners, self._accountant, self._packs.get(site_id))
            self._built[site_id], self._packs[site_id] = site, not site.pads
        self._built.move_to_end(site_id)
        # In a run with secure sums no site is dropped, because each holds its open attempt in memory.
        if len(self._built) > MOST_SITES and not self._builder.keys:
            self._built.popitem(last=False)
        return self._built[site_id]


def opened_host(builder: SiteBuilder, accountant: Accountant, share: float, threads: int) -> Host | Failed:
    """Make this process a quiet worker, and load its base model.

    Parameters
    ----------
    builder, accountant
        What the sites are built with.
    share
        Share of this machine's memory and GPU that the worker may take.
    threads
        Threads of torch.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # this also silences libraries that write without Python
        os.dup2(null, stream)
    torch.set_num_threads(threads)
    identify()
    try:
        return Host(builder, replace(load_learner(builder.config), memory_share=share), accountant)
    except Exception as error:
        return failed(error)


def failed(error: Exception) -> Failed:
    """Return a failure with the message of one of our own errors, and only the class of any other."""
    return Failed(type(error).__name__, str(error) if isinstance(error, HushtuneError) else "")
