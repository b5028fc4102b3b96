"""The Flower ClientApp of a site: it only connects Flower to the code that carries out orders."""

from collections.abc import Callable, Iterable
from typing import Protocol

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from shared.wire.messages import TrainOrder, TrainReply, outgoing
from shared.wire.secure_messages import MaskedOrder, MaskedReply, ReadyReply


class AnswersOrders(Protocol):
    """An object that carries out orders: a site, or the service in front of the site."""

    def train(self, order: TrainOrder) -> TrainReply:
        """Train one round and return the reply with the delta."""

    def ready(self, order: TrainOrder) -> ReadyReply:
        """Compute what the site adds to a secure sum, which stays at the site, and announce a key."""

    def masked(self, order: MaskedOrder) -> MaskedReply:
        """Return the site's masked vector."""


def client_app(site: AnswersOrders, permit_reply: Callable[[Iterable[str], int], None] | None = None) -> ClientApp:
    """Make a ClientApp that passes the messages of a server to the site.

    Parameters
    ----------
    site
        Object that carries out orders.
    permit_reply
        Check of the names of a reply's fields and its size in bytes; raises if the reply must not leave.
    """
    app = ClientApp()

    def leaving(record: RecordDict, message: Message) -> Message:
        if permit_reply is not None:
            permit_reply(*outgoing(record))
        return Message(record, reply_to=message)

    @app.train()
    def train(message: Message, _context: Context) -> Message:
        return leaving(site.train(TrainOrder.from_record(message.content)).to_record(), message)

    @app.train("ready")
    def ready(message: Message, _context: Context) -> Message:
        return leaving(site.ready(TrainOrder.from_record(message.content)).to_record(), message)

    @app.train("masked")
    def masked(message: Message, _context: Context) -> Message:
        return leaving(site.masked(MaskedOrder.from_record(message.content)).to_record(), message)

    return app
