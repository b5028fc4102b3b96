"""Screen what a site sent: accept its reply for aggregation, or reject it with a reason; no reply can stop a round."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from flwr.app import RecordDict

from shared.adapters.ranks import is_part
from shared.adapters.state import AdapterState
from shared.errors import MessageError
from shared.wire.chain_head import ChainHead
from shared.wire.messages import TrainOrder, TrainReply

Reason = Literal["error", "form", "spec", "stale", "identity", "not_finite", "norm", "released", "ledger", "void"]


@dataclass(frozen=True)
class Answer:
    """The answer of one site: a record, or the class name of an error; with the bytes on the wire."""

    site_id: str
    content: RecordDict | None
    error: str | None
    bytes_down: int
    bytes_up: int


@dataclass(frozen=True)
class Accepted:
    """A reply that may be aggregated."""

    site_id: str
    delta: AdapterState
    ledger: ChainHead
    released: Mapping[str, float]
    kwh: float | None = None


@dataclass(frozen=True)
class Rejected:
    """A reply that may not be aggregated, with a reason code, and a detail made of numbers and code names only."""

    site_id: str
    reason: Reason
    detail: str

    @property
    def code(self) -> str:
        """Return the reason for a log; for an error, the name that the site sent."""
        return self.detail if self.reason == "error" else self.reason


def read_reply(answer: Answer, order: TrainOrder) -> TrainReply | Rejected:
    """Read the reply in an answer, and reject it unless it is the site's own reply to this order."""
    if answer.content is None:
        return Rejected(answer.site_id, "error", answer.error or "unknown")
    try:
        reply = TrainReply.from_record(answer.content)
    except MessageError:
        return Rejected(answer.site_id, "form", "fields or types differ from a reply")
    except Exception as error:  # a message of a site must never end a round
        return Rejected(answer.site_id, "form", type(error).__name__)
    if (reply.run_id, reply.round, reply.nonce) != (order.run_id, order.round, order.nonce):
        return Rejected(answer.site_id, "stale", "not the reply to this round's order")
    if reply.encoding != order.config.aggregation.encoding:
        return Rejected(answer.site_id, "form", "its numbers are not in the run's encoding")
    if reply.site_id != answer.site_id:
        return Rejected(answer.site_id, "identity", "speaks for another site")
    return reply


def judge(reply: TrainReply, order: TrainOrder, max_norm: float, again: bool = False) -> Accepted | Rejected:
    """Accept or reject a reply to an order; a reply that the site sent before comes ``again``, with the same chain head.

    Parameters
    ----------
    reply
        The site's reply.
    order
        The order that it answers.
    max_norm
        Largest accepted L2 norm of the delta.
    again
        Whether the site replied to this round in an earlier attempt.
    """
    own, asked = reply.delta.spec, order.adapter.spec
    if own != asked and not (order.config.takes_lower_ranks and is_part(own, asked)):
        return Rejected(reply.site_id, "spec", "names or shapes differ from the order")
    if not reply.delta.is_finite:
        return Rejected(reply.site_id, "not_finite", "holds NaN or infinite numbers")
    if reply.delta.norm > max_norm:
        return Rejected(reply.site_id, "norm", f"norm {reply.delta.norm:.4g} > bound {max_norm:.4g}")
    if bool(reply.released) != (order.config.privacy.enabled and order.config.privacy.release == "metrics"):
        return Rejected(reply.site_id, "released", "releases other sums than the run's plan has")
    if reply.kwh is not None and order.config.privacy.enabled:
        return Rejected(reply.site_id, "released", "sends its electricity, which the run's plan does not cover")
    if reply.ledger.entries <= order.ledger.entries and not (again and reply.ledger == order.ledger):
        return Rejected(reply.site_id, "ledger", "its ledger did not grow")
    return Accepted(reply.site_id, reply.delta, reply.ledger, reply.released, reply.kwh)
