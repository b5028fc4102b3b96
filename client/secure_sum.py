"""A site's part in secure sums: announce a key for a sum; then charge, add noise, mask, and send one vector."""

from dataclasses import dataclass, field
from typing import Any

from client.outbox import Finished, Outbox
from privacy.budget import Budget
from privacy.dp.plan import PrivacyPlan
from privacy.secagg.noise_shares import NoiseShares
from privacy.secagg.protocol import Attempt, Participant
from shared.errors import MessageError
from shared.ops import crash_points as faults
from shared.wire.announcement import Announcement
from shared.wire.chain_head import Head
from shared.wire.messages import Order, TrainOrder
from shared.wire.secure_messages import MaskedOrder, MaskedReply, ReadyReply, words_digest

NOT_OPEN = "no first phase of this attempt is open here; start another attempt"


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
    with the same list of sites, the site sends the same vector again, bit for bit. Only this vector is kept on the disk: a
    site that starts again before it was stored has forgotten the clipped sum and the key of the attempt, so it refuses the
    second phase, and what was reserved stays spent.

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
    outbox
        Where masked vectors are kept.
    """

    def __init__(self, site_id: str, plan: PrivacyPlan, budget: Budget, participant: Participant, outbox: Outbox) -> None:
        self._site_id, self._plan, self._budget, self._participant = site_id, plan, budget, participant
        self._outbox = outbox
        self._open: _Ready | None = None

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

    def is_open(self, order: Order) -> bool:
        """Return whether this site has announced a key for the order's attempt and has not answered it."""
        if self._open is None:
            return False
        attempt, asked = self._open.attempt, (order.run_id, order.round, order.nonce)
        return (attempt.run_id, attempt.round, attempt.nonce) == asked

    def refuse_unless_sound(self, order: MaskedOrder) -> NoiseShares:
        """Check the order of the second phase, before anything is charged; no record has a part in the answer.

        Returns
        -------
        NoiseShares
            The noise of a sum of these sites.

        Raises
        ------
        MessageError, PrivacyError
            No first phase of this attempt is open here, or the list of announcements is not sound.
        """
        ready = self._ready_for(order)
        self._participant.refuse_unless_sound(ready.attempt, order.announcements)
        return self._plan.shares(len(ready.sums), len(order.announcements))

    def masked(self, order: MaskedOrder) -> MaskedReply:
        """Charge the attempt, add this site's share of the noise, mask and return the vector.

        Raises
        ------
        MessageError, PrivacyError
            The list of announcements is not sound; nothing was charged and nothing leaves.
        LedgerError
            The attempt was charged before, the attempts are used up, or the ledger cannot be written.
        """
        again = None if self.is_open(order) else sent_before(order, self._site_id, self._outbox, self._budget)
        if again is not None:
            return again
        shares, ready = self.refuse_unless_sound(order), self._ready_for(order)
        steps = shares.on_grid(ready.sums)
        self._open = None  # whatever happens from here on, this batch and this key are used once
        self._budget.reserve(order.run_id, order.round, self._plan, ready.record, order.nonce)
        faults.point("reserved", order.round)
        vector = self._participant.mask(ready.attempt, order.announcements, shares.noised(steps))
        finished = Finished.masked(vector)
        self._outbox.store(order.run_id, order.round, order.digest(), finished)  # before it leaves for the first time
        faults.point("finished", order.round)
        return _reply(order, self._site_id, finished, self._budget)

    def _ready_for(self, order: MaskedOrder) -> _Ready:
        if self._open is None or not self.is_open(order):
            raise MessageError(f"site {self._site_id}: {NOT_OPEN}")
        return self._open

    def _attempt(self, order: TrainOrder, config_digest: str) -> Attempt:
        digests = f"{config_digest}+{self._plan.digest()}"  # sites with other plans do not agree on masks
        return Attempt(order.run_id, order.round, order.attempt, order.nonce, order.adapter.digest(), digests)

    def _ready(self, ready: _Ready) -> ReadyReply:
        return ReadyReply(ready.attempt.run_id, ready.attempt.round, ready.attempt.nonce, ready.announced)


def sent_before(order: MaskedOrder, site_id: str, outbox: Outbox, budget: Budget) -> MaskedReply | None:
    """Return the vector that answered this very order before, bit for bit and at no further cost; None if none did.

    Parameters
    ----------
    order
        The order of the second phase.
    site_id
        Name of this site.
    outbox
        Where masked vectors are kept.
    budget
        Closes the reservation of the attempt, if a crash left it open.

    Raises
    ------
    MessageError
        This site answered the round for another list of sites.
    """
    finished = outbox.stored(order.run_id, order.round, order.digest())
    return None if finished is None else _reply(order, site_id, finished, budget)


def _reply(order: MaskedOrder, site_id: str, finished: Finished, budget: Budget) -> MaskedReply:
    head = budget.commit(order.run_id, order.round, order.nonce, words_digest(finished.vector))
    return MaskedReply(order.run_id, order.round, order.nonce, site_id, finished.vector, head)
