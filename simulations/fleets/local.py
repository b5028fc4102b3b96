"""Ask sites in this process, through the production ClientApp and real message serialisation, but without sockets."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.task_identity import TaskIdentity

from client.app import client_app
from client.site import Site
from server.screening import Answer
from shared.errors import HushtuneError, one_line
from shared.ops.progress import Advance
from shared.wire.messages import Order

SERVER_NODE = 1
FIRST_NODE = 100


class LocalFleet:
    """Asks sites one after another; each message is serialised and parsed as on the network."""

    def __init__(self, sites: Sequence[Site], advance: Advance) -> None:
        self._advance = advance
        self._apps: Mapping[str, ClientApp] = {site.site_id: client_app(site) for site in sites}
        self._nodes = {site.site_id: FIRST_NODE + number for number, site in enumerate(sites)}
        identify()

    def connected(self) -> tuple[str, ...]:
        """Return all sites."""
        return tuple(self._apps)

    def ask(self, orders: Mapping[str, Order], deadline: float) -> Iterator[Answer]:
        """Yield each site's answer; in one process every site is waited for, so the deadline never passes."""
        for site_id, order in orders.items():
            yield self._ask_one(site_id, order)
            self._advance(1)

    def _ask_one(self, site_id: str, order: Order) -> Answer:
        message, down = over_the_wire(message_to(self._nodes[site_id], order))
        try:
            reply, up = over_the_wire(self._apps[site_id](message, context_of(self._nodes[site_id])))
        except Exception as error:
            if isinstance(error, HushtuneError):
                sys.stderr.write(f"{site_id}: {one_line(error)}\n")
            return Answer(site_id, None, type(error).__name__, down, 0)
        return Answer(site_id, reply.content, None, down, up)


@dataclass(frozen=True)
class Parcel:
    """A message as Flower's transport carries it: its objects, each serialised, by their ids."""

    message_id: str
    objects: Mapping[str, bytes] = field(repr=False)

    @property
    def size(self) -> int:
        """Return the bytes on the wire."""
        return sum(len(content) for content in self.objects.values())


def identify() -> None:
    """Tell Flower that this process is the server's node of run 1; Flower's messages need to know this."""
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, SERVER_NODE


def message_to(node: int, order: Order) -> Message:
    """Return the message with an order to a node."""
    return Message(order.to_record(), node, order.kind)


def context_of(node: int) -> Context:
    """Return the context in which a node's app runs; no site keeps anything in it."""
    return Context(run_id=1, node_id=node, node_config={}, state=RecordDict(), run_config={}, series_id=1)


def packed(message: Message) -> Parcel:
    """Serialise a message as Flower's transport does."""
    message.metadata.__dict__["_message_id"] = message.object_id
    return Parcel(message.object_id, {key: item.deflate() for key, item in get_all_nested_objects(message).items()})


def opened(parcel: Parcel) -> Message:
    """Parse a message as Flower's transport does."""
    message = cast("Message", inflate_object_from_contents(parcel.message_id, dict(parcel.objects)))
    message.metadata.__dict__["_message_id"] = parcel.message_id
    return message


def over_the_wire(message: Message) -> tuple[Message, int]:
    """Serialise and parse a message as Flower's transport does, and count its bytes."""
    parcel = packed(message)
    return opened(parcel), parcel.size
