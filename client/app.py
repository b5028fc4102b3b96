"""The Flower ClientApp of a site: wiring only."""

from collections.abc import Callable, Iterable
from typing import Protocol

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from shared.wire.messages import TrainOrder, TrainReply, outgoing


class Trains(Protocol):
    """What carries out orders: a site, or the service in front of it."""

    def train(self, order: TrainOrder) -> TrainReply:
        """Train one round and reply with the delta."""


def client_app(site: Trains, permit_reply: Callable[[Iterable[str], int], None] | None = None) -> ClientApp:
    """A ClientApp whose train messages go to the site; ``permit_reply`` raises where a reply may not leave as it is."""
    app = ClientApp()

    @app.train()
    def train(message: Message, _context: Context) -> Message:
        record = site.train(TrainOrder.from_record(message.content)).to_record()
        if permit_reply is not None:
            permit_reply(*outgoing(record))
        return Message(record, reply_to=message)

    return app
