"""Screen an answer as a round does: read it as a reply to its order, and judge the reply."""

from server.screening import Accepted, Answer, Rejected, judge, read_reply
from shared.wire.messages import TrainOrder


def screen(answer: Answer, order: TrainOrder, max_norm: float) -> Accepted | Rejected:
    """Return the verdict on an answer to an order."""
    reply = read_reply(answer, order)
    return reply if isinstance(reply, Rejected) else judge(reply, order, max_norm)
