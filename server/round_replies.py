"""The answers of one round: screen each answer, fold it into the aggregate, and free it."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from server.aggregation import Aggregate, Setting, begin
from server.screening import Accepted, Answer, Rejected, judge, read_reply
from shared.wire.chain_head import ChainHead
from shared.wire.messages import Order, TrainOrder


class Tally:
    """Collect the answers of a round.

    The first answer of a site that was asked counts; later answers, and answers of other sites, have no effect.
    ``ledgers`` holds the chain head of each site that replied to its order, whether its reply was accepted or not.

    Parameters
    ----------
    orders
        The order of each site that was asked.
    setting
        What the aggregation depends on: the adapter, the sites' public weights, the method, the server's own plan.
    again
        The sites that replied to this round in an earlier attempt. They send the same reply again, so their ledgers need
        not have grown.
    """

    def __init__(self, orders: Mapping[str, TrainOrder], setting: Setting, again: AbstractSet[str] = frozenset()) -> None:
        self.answered: set[str] = set()
        self.accepted: set[str] = set()
        self.rejected: list[Rejected] = []
        self.ledgers: dict[str, ChainHead] = {}
        self.owing: frozenset[str] = frozenset()  # a reply that is missing is no loss to the others
        self.bound: tuple[str, ...] = ()  # the next attempt may have other sites
        self.released: dict[str, Mapping[str, float]] = {}
        self.kwh: dict[str, float] = {}
        self.digests: dict[str, str] = {}
        self.bytes_down = self.bytes_up = 0
        self._orders, self._setting, self._again = orders, setting, again
        self._method = begin(setting)

    def phases(self) -> Iterator[Mapping[str, Order]]:
        """Yield the orders of each phase of the round; there is one."""
        yield self._orders

    def take(self, answer: Answer) -> None:
        """Judge one answer, and fold its delta where it is accepted."""
        self.bytes_down += answer.bytes_down
        self.bytes_up += answer.bytes_up
        order = self._orders.get(answer.site_id)
        if order is None or answer.site_id in self.answered:
            return
        self.answered.add(answer.site_id)
        reply = read_reply(answer, order)
        if isinstance(reply, Rejected):
            self.rejected.append(reply)
            return
        if reply.ledger.entries > order.ledger.entries:
            self.ledgers[reply.site_id] = reply.ledger
        verdict = judge(reply, order, self._setting.section.max_norm, again=answer.site_id in self._again)
        if isinstance(verdict, Rejected):
            self.rejected.append(verdict)
        else:
            self._fold(verdict)

    def result(self) -> Aggregate:
        """Return the aggregate of the accepted replies. Call once, and only if the round counts."""
        return self._method.result()

    def _fold(self, reply: Accepted) -> None:
        self._method.fold(reply.delta, self._setting.weights[reply.site_id])
        self.accepted.add(reply.site_id)
        self.digests[reply.site_id] = reply.delta.digest()
        self.ledgers[reply.site_id] = reply.ledger
        if reply.released:
            self.released[reply.site_id] = reply.released
        if reply.kwh is not None:
            self.kwh[reply.site_id] = reply.kwh
