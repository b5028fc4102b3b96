"""Screen a site's answer as the server does in a round."""

from server.screening import Accepted, Answer, Rejected, judge, read_reply
from shared.wire.messages import TrainOrder


def screen(answer: Answer, order: TrainOrder, max_norm: float) -> Accepted | Rejected:
    """Return the verdict on an answer to an order."""
    reply = read_reply(answer, order)
    return reply if isinstance(reply, Rejected) else judge(reply, order, max_norm)
