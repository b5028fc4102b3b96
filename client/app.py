"""The Flower ClientApp of a site: it only connects Flower to the code that carries out orders."""

from collections.abc import Callable, Iterable
from typing import Protocol

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from shared.wire.messages import TrainOrder, TrainReply, outgoing
from shared.wire.secure_messages import MaskedOrder, MaskedReply, ReadyReply


class Trains(Protocol):
    """An object that carries out orders: a site, or the service in front of the site."""

    def train(self, order: TrainOrder) -> TrainReply:
        """Train one round and return the reply with the delta."""


class Sums(Protocol):
    """An object that takes part in the secure sums of a run."""

    def ready(self, order: TrainOrder) -> ReadyReply:
        """Compute the site's sum, which stays at the site, and announce a key."""

    def masked(self, order: MaskedOrder) -> MaskedReply:
        """Return the site's masked vector."""


def client_app(
    site: Trains, permit_reply: Callable[[Iterable[str], int], None] | None = None, sums: Sums | None = None
) -> ClientApp:
    """Make a ClientApp that passes train messages to the site.

    Parameters
    ----------
    site
        Object that carries out orders.
    permit_reply
        Check of the names of a reply's fields and its size in bytes; raises if the reply must not leave.
    sums
        Object that takes part in secure sums; without it the app refuses their messages.
    """
    app = ClientApp()

    def leaving(record: RecordDict, message: Message) -> Message:
        if permit_reply is not None:
            permit_reply(*outgoing(record))
        return Message(record, reply_to=message)

    @app.train()
    def train(message: Message, _context: Context) -> Message:
        return leaving(site.train(TrainOrder.from_record(message.content)).to_record(), message)

    if sums is None:
        return app

    @app.train("ready")
    def ready(message: Message, _context: Context) -> Message:
        return leaving(sums.ready(TrainOrder.from_record(message.content)).to_record(), message)

    @app.train("masked")
    def masked(message: Message, _context: Context) -> Message:
        return leaving(sums.masked(MaskedOrder.from_record(message.content)).to_record(), message)

    return app
