"""The Flower ClientApp of a site: it only connects Flower to the code that carries out orders."""

from collections.abc import Callable, Iterable
from typing import Protocol

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from shared.wire.messages import TrainOrder, TrainReply, outgoing


class Trains(Protocol):
    """Carries out orders: a site, or the service in front of it."""

    def train(self, order: TrainOrder) -> TrainReply:
        """Train one round and return the reply with the delta.

        Parameters
        ----------
        order : TrainOrder
            Order from the server.
        """


def client_app(site: Trains, permit_reply: Callable[[Iterable[str], int], None] | None = None) -> ClientApp:
    """Make a ClientApp that passes train messages to the site.

    Parameters
    ----------
    site : Trains
        Object that carries out orders.
    permit_reply : Callable[[Iterable[str], int], None] | None
        Check of the names of a reply's fields and its size in bytes; raises if the reply must not leave.
    """
    app = ClientApp()

    @app.train()
    def train(message: Message, _context: Context) -> Message:
        record = site.train(TrainOrder.from_record(message.content)).to_record()
        if permit_reply is not None:
            permit_reply(*outgoing(record))
        return Message(record, reply_to=message)

    return app
