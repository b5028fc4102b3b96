"""The Flower ClientApp of a site: wiring only."""

from typing import Protocol

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from shared.messages import TrainOrder, TrainReply


class Trains(Protocol):
    """What carries out orders: a site, or the service in front of it."""

    def train(self, order: TrainOrder) -> TrainReply:
        """Train one round and reply with the delta."""


def client_app(site: Trains) -> ClientApp:
    """A ClientApp whose train messages go to the site."""
    app = ClientApp()

    @app.train()
    def train(message: Message, _context: Context) -> Message:
        reply = site.train(TrainOrder.from_record(message.content))
        return Message(reply.to_record(), reply_to=message)

    return app
