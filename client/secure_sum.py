"""A site's part in secure sums: announce a key for a sum; then charge, add noise, mask, and send one vector."""

from dataclasses import dataclass, field
from typing import Any

from privacy.budget import Budget
from privacy.dp.plan import PrivacyPlan
from privacy.secagg.protocol import Attempt, Participant
from shared.errors import MessageError
from shared.ops import crash_points as faults
from shared.wire.announcement import Announcement
from shared.wire.chain_head import Head
from shared.wire.messages import TrainOrder
from shared.wire.secure_messages import MaskedOrder, MaskedReply, ReadyReply


@dataclass(frozen=True)
class _Ready:
    """An attempt under way, with the site's clipped sum, which leaves only with noise and under masks."""

    record: Head
    attempt: Attempt
    sums: Any = field(repr=False)  # (d,) tensor, float64
    announced: Announcement


class SecureSum:
    """Take part in the secure sums of one run, one attempt at a time.

    The charge is on the disk before noise is drawn, and before anything leaves. An attempt is answered once; asked again
    with the same list of sites, the site sends the same vector again, bit for bit. A site that starts again has forgotten
    the clipped sum, the key and the vector of an attempt, so it refuses the second phase, and what was reserved stays spent.

    Parameters
    ----------
    site_id
        Name of this site.
    plan
        The plan that all sites of the run share.
    budget
        Where each attempt is charged.
    participant
        The site's keys and the roster of its peers.
    """

    def __init__(self, site_id: str, plan: PrivacyPlan, budget: Budget, participant: Participant) -> None:
        self._site_id, self._plan, self._budget, self._participant = site_id, plan, budget, participant
        self._open: _Ready | None = None
        self._answered: tuple[MaskedOrder, MaskedReply] | None = None

    def announce(self, order: TrainOrder, config_digest: str, sums: Any) -> ReadyReply:
        """Keep a clipped sum and announce a key for the attempt; an earlier attempt that was not answered is given up.

        Parameters
        ----------
        order
            The order of the first phase.
        config_digest
            Digest of the run's config as the server sent it, the same at all sites.
        sums
            The clipped sum, (d,) float64.
        """
        attempt = self._attempt(order, config_digest)
        self._open = _Ready(order.record, attempt, sums, self._participant.announce(attempt))
        return self._ready(self._open)

    def again(self, order: TrainOrder, config_digest: str) -> ReadyReply | None:
        """Return the same announcement if the same order came again, for which no other batch may be drawn."""
        if self._open is None or self._open.attempt != self._attempt(order, config_digest):
            return None
        return self._ready(self._open)

    def masked(self, order: MaskedOrder) -> MaskedReply:
        """Charge the attempt, add this site's share of the noise, mask and return the vector.

        Raises
        ------
        MessageError, PrivacyError
            The list of announcements is not sound; nothing was charged and nothing leaves.
        LedgerError
            The attempt was charged before, the attempts are used up, or the ledger cannot be written.
        """
        if self._answered is not None and self._answered[0] == order:
            return self._answered[1]
        ready, names = self._open, (order.run_id, order.round, order.nonce)
        if ready is None or (ready.attempt.run_id, ready.attempt.round, ready.attempt.nonce) != names:
            raise MessageError(f"site {self._site_id}: no first phase of this attempt is open here; start another attempt")
        self._participant.refuse_unless_sound(ready.attempt, order.announcements)
        shares = self._plan.shares(len(ready.sums), len(order.announcements))
        steps = shares.on_grid(ready.sums)
        self._open = None  # whatever happens from here on, this batch and this key are used once
        self._budget.reserve(order.run_id, order.round, self._plan, ready.record, order.nonce)
        faults.point("reserved", order.round)
        vector = self._participant.mask(ready.attempt, order.announcements, shares.noised(steps))
        head = self._budget.commit(order.run_id, order.round, order.nonce)
        reply = MaskedReply(order.run_id, order.round, order.nonce, self._site_id, vector, head)
        self._answered = order, reply
        faults.point("finished", order.round)
        return reply

    def _attempt(self, order: TrainOrder, config_digest: str) -> Attempt:
        digests = f"{config_digest}+{self._plan.digest()}"  # sites with other plans do not agree on masks
        return Attempt(order.run_id, order.round, order.attempt, order.nonce, order.adapter.digest(), digests)

    def _ready(self, ready: _Ready) -> ReadyReply:
        return ReadyReply(ready.attempt.run_id, ready.attempt.round, ready.attempt.nonce, ready.announced)
