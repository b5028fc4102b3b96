"""The answers of one attempt at a secure sum: two phases, then one sum that counts whole or not at all.

Nothing is ever unmasked. If a vector is missing, what came is uniform noise, so the attempt is void: the next attempt has
a new batch, new noise and new keys, and each site has charged both.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from privacy.dp.plan import PrivacyPlan
from privacy.secagg.noise_shares import REACH, NoiseShares
from privacy.secagg.protocol import total
from server.aggregation import Aggregate, Memory
from server.aggregation.gradient_step import gradient_step
from server.screening import Answer, Rejected
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import HushtuneError, MessageError
from shared.ops import crash_points as faults
from shared.wire.announcement import Announcement
from shared.wire.chain_head import Head
from shared.wire.messages import Order, TrainOrder
from shared.wire.secure_messages import MaskedOrder, MaskedReply, ReadyReply, words_digest

Asks = Callable[[int, Sequence[str]], None]
MARGIN = 1.1  # by which the norm of honest noise may exceed its expected value before a sum is rejected


class SumTally:
    """Collect what an attempt at a secure sum amounts to; the counterpart of `server.round_replies.Tally`.

    The first answer of a site in each phase counts. ``accepted`` names the sites of the sum once all their vectors are here
    and the sum passes screening, and nobody before.

    Parameters
    ----------
    config
        The run.
    plan
        The plan that all sites of the run share.
    orders
        The order of the first phase for each site that was asked, all with one nonce.
    adapter
        The adapter that the attempt starts from.
    memory
        What the server's optimiser kept at the end of the last committed round.
    asks
        Called with the round and the sites before these are asked for their vectors, which each of them charges.
    """

    def __init__(
        self,
        config: RunConfig,
        plan: PrivacyPlan,
        orders: Mapping[str, TrainOrder],
        adapter: AdapterState,
        memory: Memory,
        asks: Asks,
    ) -> None:
        self.answered: set[str] = set()
        self.rejected: list[Rejected] = []
        self.ledgers: dict[str, Head] = {}
        self.released: dict[str, Mapping[str, float]] = {}
        self.kwh: dict[str, float] = {}
        self.digests: dict[str, str] = {}
        self.bytes_down = self.bytes_up = 0
        self._config, self._plan, self._orders = config, plan, orders
        self._adapter, self._memory, self._asks = adapter, memory, asks
        self._announced: dict[str, Announcement] = {}
        self._second: Mapping[str, MaskedOrder] | None = None
        self._sent: set[str] = set()  # whose vectors are in the sum
        self._sum: npt.NDArray[np.uint32] = np.zeros(adapter.parameters, np.uint32)  # modulo 2^32, in any order
        self._mean: AdapterState | None = None
        self._noise = 0.0  # of each number of the mean

    def phases(self) -> Iterator[Mapping[str, Order]]:
        """Yield the orders of each phase; the answers of the first must be taken before the second is asked for."""
        yield self._orders
        shared = self._plan.shared
        ready = sorted(self._announced)
        if shared is None or not ready or len(ready) < shared.fewest:
            self.rejected += [Rejected(site, "void", "too few sites were ready for a secure sum") for site in ready]
            return
        listed = tuple(self._announced[site] for site in ready)
        first = self._orders[ready[0]]
        order = MaskedOrder(first.run_id, first.round, first.nonce, listed)
        self._second = dict.fromkeys(ready, order)
        self.answered -= set(ready)
        self._asks(first.round, ready)
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
    def owing(self) -> set[str]:
        """Return the sites that were asked for a vector, and from which none came that counts."""
        return set(self._second or ()) - self._sent

    def result(self) -> Aggregate:
        """Return the server's step with the mean gradient. Call once, and only if the attempt counts."""
        assert self._mean is not None  # noqa: S101  asked only where sites were accepted
        number = next(iter(self._orders.values())).round
        return gradient_step(self._config, number, self._adapter, self._mean, self._noise, self._memory)

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
        sizes = {site.id: site.declared_size for site in self._config.data.sites}
        divisor = self._config.training.sampling_rate * sum(sizes[site] for site in ready)
        try:
            shares = self._plan.shares(self._adapter.parameters, len(ready))
            mean = shares.mean_gradient(self._sum, divisor)
        except HushtuneError as error:
            self.rejected += [Rejected(site, "void", type(error).__name__) for site in ready]
            return
        norm, bound = float(np.linalg.norm(mean.astype(np.float64))) * divisor, largest_norm(shares, divisor)
        if norm > bound:  # who is at fault cannot be seen in a sum
            detail = f"the sum has norm {norm:.4g} > bound {bound:.4g}; which site is at fault cannot be seen"
            self.rejected += [Rejected(site, "norm", detail) for site in ready]
            return
        self._mean, self._noise = unflattened(mean, self._adapter), shares.grid * shares.total_std / divisor

    def _reject(self, site: str, reason: str, detail: str) -> None:
        self.rejected.append(Rejected(site, reason, detail))  # type: ignore[arg-type]  # a reason of this module


def largest_norm(shares: NoiseShares, divisor: float) -> float:
    """Return the largest L2 norm of a sum that honest sites would send: C (B + 8 sqrt(B)), and 1.1 times the noise's norm.

    Parameters
    ----------
    shares
        The noise of the attempt.
    divisor
        B, the public expected number of units in the step over the sites of the sum.
    """
    noise = shares.grid * shares.total_std * math.sqrt(shares.dimension)
    return shares.bound * (divisor + REACH * math.sqrt(divisor)) + MARGIN * noise


def unflattened(vector: npt.NDArray[np.float32], like: AdapterState) -> AdapterState:
    """Cut a vector into the tensors of an adapter, in the model's order."""
    arrays, place = {}, 0
    for name, shape in like.spec:
        size = math.prod(shape)
        arrays[name] = vector[place : place + size].reshape(shape)
        place += size
    return AdapterState(arrays)
