"""The Flower ClientApp of a site: wiring only."""

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.site import Site
from shared.messages import TrainOrder


def client_app(site: Site) -> ClientApp:
    """A ClientApp whose train messages go to the site."""
    app = ClientApp()

    @app.train()
    def train(message: Message, _context: Context) -> Message:
        reply = site.train(TrainOrder.from_record(message.content))
        return Message(reply.to_record(), reply_to=message)

    return app
