"""Screen a site's answer as the server does in a round, and name the end of a hash chain."""

from hashlib import sha256

from server.screening import Accepted, Answer, Rejected, judge, read_reply
from shared.wire.chain_head import ChainHead
from shared.wire.messages import TrainOrder


def head(entries: int, last: str) -> ChainHead:
    """Return the head of a chain whose last entry is this text."""
    return ChainHead(entries, sha256(last.encode()).hexdigest())


def screen(answer: Answer, order: TrainOrder, max_norm: float) -> Accepted | Rejected:
    """Return the verdict on an answer to an order."""
    reply = read_reply(answer, order)
    return reply if isinstance(reply, Rejected) else judge(reply, order, max_norm)
