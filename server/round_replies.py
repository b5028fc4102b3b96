"""The answers of one round: each is screened and folded as it comes, and let go."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from privacy.dp.central import NoisedSum
from privacy.dp.plan import PrivacyPlan
from server.aggregation import METHODS, Running
from server.screening import Accepted, Answer, Rejected, judge, read_reply
from shared.adapters.state import AdapterState, Spec
from shared.config.run import RunConfig
from shared.wire.chain_head import Head
from shared.wire.messages import TrainOrder


class Tally:
    """What the answers of a round come to, in memory that does not grow with their number.

    The first answer of a site that was asked counts; later ones and those of strangers have no effect.
    ``weights`` are public numbers by site; ``plan`` is the server's own where sites trust it to clip and to add noise.
    The sites ``again`` answered this round before, so their ledgers need not have grown. ``ledgers`` are where those of all
    sites end whose answer was a reply to its order, accepted or not.
    """

    def __init__(
        self,
        orders: Mapping[str, TrainOrder],
        config: RunConfig,
        weights: Mapping[str, float],
        spec: Spec,
        plan: PrivacyPlan | None,
        again: AbstractSet[str] = frozenset(),
    ) -> None:
        self.answered: set[str] = set()
        self.accepted: set[str] = set()
        self.rejected: list[Rejected] = []
        self.ledgers: dict[str, Head] = {}
        self.released: dict[str, Mapping[str, float]] = {}
        self.kwh: dict[str, float] = {}
        self.bytes_down = self.bytes_up = 0
        self._orders, self._weights, self._section, self._again = orders, weights, config.aggregation, again
        bound = self._section.max_norm * max(weights.values())
        self._running: Running = NoisedSum(spec, plan) if plan else METHODS[self._section.method](spec, bound)

    def take(self, answer: Answer) -> None:
        """Judge one answer, and fold it if it may be."""
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
        verdict = judge(reply, order, self._section.max_norm, again=answer.site_id in self._again)
        if isinstance(verdict, Rejected):
            self.rejected.append(verdict)
        else:
            self._fold(verdict)

    def delta(self) -> AdapterState:
        """What the accepted replies together change."""
        return self._running.result()

    def _fold(self, reply: Accepted) -> None:
        self._running.fold(reply.delta, self._weights[reply.site_id])
        self.accepted.add(reply.site_id)
        self.ledgers[reply.site_id] = reply.ledger
        if reply.released:
            self.released[reply.site_id] = reply.released
        if reply.kwh is not None:
            self.kwh[reply.site_id] = reply.kwh
