"""Collect the answers of one attempt at a secure sum: two phases, then one sum that counts whole or not at all.

Nothing is ever unmasked. If a vector is missing, the sum of the others is uniform noise, so the attempt is void. Where sites
share one noise, the next attempt has a new batch, new noise and new keys, and each site has charged both attempts. Where
sites add up deltas with their own noise, the next attempt has new keys and the same deltas, so it costs nothing, and the
sites answer it only for the list of sites of the attempt before.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from privacy.secagg.protocol import total
from server.aggregation import Aggregate
from server.screening import Answer, Reason, Rejected
from server.sum_readings import SumReading
from shared.adapters.state import AdapterState
from shared.errors import HushtuneError, MessageError
from shared.ops import crash_points as faults
from shared.wire.announcement import Announcement
from shared.wire.chain_head import ChainHead
from shared.wire.messages import Order, TrainOrder
from shared.wire.secure_messages import MaskedOrder, MaskedReply, ReadyReply, words_digest

BeforeAsking = Callable[[int, Sequence[str]], None]


class SumTally:
    """Collect the answers of an attempt at a secure sum, as `server.round_replies.Tally` does without masks.

    The first answer of a site in each phase counts. ``accepted`` names the sites of the sum once all their vectors are here
    and the sum passes screening, and nobody before.

    Parameters
    ----------
    reading
        How to read the sum.
    orders
        The order of the first phase for each site that was asked, all with one nonce.
    adapter
        The adapter that the attempt starts from.
    before_asking
        Called with the round and the sites before these sites are asked for their vectors.
    bound
        The sites of an earlier attempt at the round, if the reading binds the round to them; else empty.
    """

    def __init__(
        self,
        reading: SumReading,
        orders: Mapping[str, TrainOrder],
        adapter: AdapterState,
        before_asking: BeforeAsking,
        bound: Sequence[str] = (),
    ) -> None:
        self.answered: set[str] = set()
        self.rejected: list[Rejected] = []
        self.ledgers: dict[str, ChainHead] = {}
        self.released: dict[str, Mapping[str, float]] = {}
        self.kwh: dict[str, float] = {}
        self.digests: dict[str, str] = {}
        self.bytes_down = self.bytes_up = 0
        self._reading, self._orders, self._adapter, self._before_asking = reading, orders, adapter, before_asking
        self._bound = tuple(bound)
        self._announced: dict[str, Announcement] = {}
        self._second: Mapping[str, MaskedOrder] | None = None
        self._refused: set[str] = set()  # who answered the second phase with an error
        self._sent: set[str] = set()  # whose vectors are in the sum
        self._sum: npt.NDArray[np.uint32] = np.zeros(adapter.parameters, np.uint32)  # modulo 2^32, in any order
        self._mean: AdapterState | None = None

    def phases(self) -> Iterator[Mapping[str, Order]]:
        """Yield the orders of each phase; the answers of the first must be taken before the second is asked for."""
        yield self._orders
        ready = sorted(self._announced)
        missing = sorted(set(self._bound) - set(ready))
        if len(ready) < self._reading.fewest or missing:
            detail = f"in this round it adds up only with {', '.join(missing)}" if missing else "too few sites were ready"
            self.rejected += [Rejected(site, "void", detail) for site in ready]
            return
        listed = tuple(self._announced[site] for site in ready)
        first = self._orders[ready[0]]
        order = MaskedOrder(first.run_id, first.round, first.nonce, listed)
        self._second = dict.fromkeys(ready, order)
        self.answered -= set(ready)
        self._before_asking(first.round, ready)
        faults.point("between", first.round)
        yield self._second
        self._close(ready)

    def take(self, answer: Answer) -> None:
        """Judge one answer of the phase that is under way."""
        self.bytes_down += answer.bytes_down
        self.bytes_up += answer.bytes_up
        if answer.site_id not in (self._orders if self._second is None else self._second) or answer.site_id in self.answered:
            return
        self.answered.add(answer.site_id)
        if answer.content is None:
            self._refused |= {answer.site_id} if self._second is not None else set()
            self._reject(answer.site_id, "error", answer.error or "unknown")
            return
        try:
            self._take_ready(answer) if self._second is None else self._take_vector(answer)
        except MessageError:
            self._reject(answer.site_id, "form", "fields or types differ from a reply")
        except Exception as error:  # a message of a site must never end a round
            self._reject(answer.site_id, "form", type(error).__name__)

    @property
    def accepted(self) -> set[str]:
        """Return the sites of the sum if the attempt counts; else nobody."""
        return set(self._sent) if self._mean is not None else set()

    @property
    def bound(self) -> tuple[str, ...]:
        """Return the sites that the round is bound to after this attempt; empty if it is bound to none.

        If all sites refused the second phase, no vector has left any of them, so this attempt changes no binding.
        """
        if not self._reading.binds:
            return ()
        left = set(self._second or ()) - self._refused
        return tuple(self._second or ()) if left else self._bound

    @property
    def owing(self) -> set[str]:
        """Return the sites that were asked for a vector and sent none that counts."""
        return set(self._second or ()) - self._sent

    def result(self) -> Aggregate:
        """Return the server's step with the mean. Call once, and only if the attempt counts."""
        assert self._mean is not None  # noqa: S101  asked only where sites were accepted
        number = next(iter(self._orders.values())).round
        return self._reading.result(number, self._mean, sorted(self._sent))

    def _take_ready(self, answer: Answer) -> None:
        assert answer.content is not None  # noqa: S101  the caller has checked it
        reply = ReadyReply.from_record(answer.content)
        if self._fits(answer, reply):
            self._announced[reply.site_id] = reply.announced

    def _take_vector(self, answer: Answer) -> None:
        assert answer.content is not None  # noqa: S101  the caller has checked it
        reply = MaskedReply.from_record(answer.content)
        if not self._fits(answer, reply):
            return
        if reply.ledger.entries <= self._orders[reply.site_id].ledger.entries:
            self._reject(reply.site_id, "ledger", "its ledger did not grow")
            return
        self.ledgers[reply.site_id] = reply.ledger  # also where the attempt turns out void: it is charged
        if len(reply.vector) != self._adapter.parameters:
            self._reject(reply.site_id, "spec", "the length of its vector differs from the order")
            return
        self._sent.add(reply.site_id)
        self.digests[reply.site_id] = words_digest(reply.vector)
        self._sum = total([self._sum, reply.vector])

    def _fits(self, answer: Answer, reply: ReadyReply | MaskedReply) -> bool:
        order = self._orders[answer.site_id]
        if (reply.run_id, reply.round, reply.nonce) != (order.run_id, order.round, order.nonce):
            self._reject(answer.site_id, "stale", "not the reply to this attempt's order")
            return False
        if reply.site_id != answer.site_id:
            self._reject(answer.site_id, "identity", "speaks for another site")
            return False
        return True

    def _close(self, ready: list[str]) -> None:
        """Add the vectors up, or declare the attempt void."""
        if self.owing:
            self.rejected += [Rejected(site, "void", "a vector is missing, so the sum is noise") for site in self._sent]
            return
        try:
            mean, norm, bound = self._reading.mean(self._sum, ready)
        except HushtuneError as error:
            self.rejected += [Rejected(site, "void", type(error).__name__) for site in ready]
            return
        if norm > bound:  # who is at fault cannot be seen in a sum
            detail = f"the sum has norm {norm:.4g} > bound {bound:.4g}; which site is at fault cannot be seen"
            self.rejected += [Rejected(site, "norm", detail) for site in ready]
            return
        self._mean = self._adapter.unflattened(mean)

    def _reject(self, site: str, reason: Reason, detail: str) -> None:
        self.rejected.append(Rejected(site, reason, detail))
