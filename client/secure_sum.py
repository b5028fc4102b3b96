"""Take part in secure sums as a site: announce a key for a sum; then mask and send one vector.

Under trust ``distributed`` the vector is a clipped sum, charged and noised when the list of sites is known (`SecureSum`).
Under trust ``local`` the vector is the delta of the round, which was charged and noised before (`DeltaSum`).
"""

from dataclasses import dataclass, field, replace
from typing import Any

from client.outbox import Finished, Outbox
from privacy.budget import Budget
from privacy.dp.plan import PrivacyPlan
from privacy.secagg.delta_grid import DeltaGrid
from privacy.secagg.noise_shares import NoiseShares
from privacy.secagg.protocol import Attempt, Participant
from shared.errors import MessageError
from shared.ops import crash_points as faults
from shared.wire.announcement import Announcement
from shared.wire.chain_head import ChainHead
from shared.wire.messages import Order, TrainOrder
from shared.wire.secure_messages import MaskedOrder, MaskedReply, ReadyReply, words_digest

NOT_OPEN = "no first phase of this attempt is open here; start another attempt"


@dataclass(frozen=True)
class _Ready:
    """An attempt under way, and the numbers that the site adds, which leave only under masks."""

    record: ChainHead
    attempt: Attempt
    held: Any = field(repr=False)
    announced: Announcement


class _Member:
    """The first phase of an attempt at a secure sum: announce a key, and keep what the site will add."""

    def __init__(self, site_id: str, budget: Budget, participant: Participant, outbox: Outbox) -> None:
        self._site_id, self._budget, self._participant, self._outbox = site_id, budget, participant, outbox
        self._open: _Ready | None = None

    def announce(self, order: TrainOrder, config_digest: str, held: Any) -> ReadyReply:
        """Keep what this site adds and announce a key for the attempt; an earlier unanswered attempt is given up.

        Parameters
        ----------
        order
            The order of the first phase.
        config_digest
            Digest of the run's config as the server sent it, the same at all sites.
        held
            What the site adds: the clipped sum, (d,) float64; or the stored result of the round, with its noised delta.
        """
        attempt = self._attempt(order, config_digest)
        self._open = _Ready(order.record, attempt, held, self._participant.announce(attempt))
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

    def _agreed(self, config_digest: str) -> str:
        """Return what the sites of a sum must agree on besides the fields of the order."""
        return config_digest

    def _ready_for(self, order: MaskedOrder) -> _Ready:
        if self._open is None or not self.is_open(order):
            raise MessageError(f"site {self._site_id}: {NOT_OPEN}")
        return self._open

    def _attempt(self, order: TrainOrder, config_digest: str) -> Attempt:
        agreed = self._agreed(config_digest)
        return Attempt(order.run_id, order.round, order.attempt, order.nonce, order.adapter.digest(), agreed)

    def _ready(self, ready: _Ready) -> ReadyReply:
        return ReadyReply(ready.attempt.run_id, ready.attempt.round, ready.attempt.nonce, ready.announced)


class SecureSum(_Member):
    """Take part in the secure sums of a run whose sites share one noise, one attempt at a time.

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
        super().__init__(site_id, budget, participant, outbox)
        self._plan = plan

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
        return self._plan.shares(len(ready.held), len(order.announcements))

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
        steps = shares.on_grid(ready.held)
        self._open = None  # whatever happens from here on, this batch and this key are used once
        start = ready.attempt.adapter_digest
        self._budget.reserve(order.run_id, order.round, self._plan, ready.record, order.nonce, start)
        faults.point("reserved", order.round)
        vector = self._participant.mask(ready.attempt, order.announcements, shares.noised(steps))
        finished = Finished.masked(vector)
        self._outbox.store(order.run_id, order.round, order.digest(), finished)  # before it leaves for the first time
        faults.point("finished", order.round)
        return _reply(order, self._site_id, finished, self._budget)

    def _agreed(self, config_digest: str) -> str:
        return f"{config_digest}+{self._plan.digest()}"  # sites with other plans do not agree on masks


class DeltaSum(_Member):
    """Take part in the secure sums of a run whose sites add all their own noise, one attempt at a time.

    The delta is the stored result of the round, charged once and with all its noise, so each attempt may mask the same delta
    anew: this is post-processing and charges nothing. Two sums over different sites, or with different weights, would show
    the delta of one site as their difference. Therefore a delta leaves for one config and one list of sites only, which are
    on the disk before the first vector leaves, and never without masks. Each vector has a key of its own.

    Parameters
    ----------
    site_id
        Name of this site.
    grid
        The grid of the run's sums.
    budget
        Where the digest of each vector is written down, for receipts.
    participant
        The site's keys and the roster of its peers.
    outbox
        Where the delta is kept, and with which sites it was added up.
    """

    def __init__(self, site_id: str, grid: DeltaGrid, budget: Budget, participant: Participant, outbox: Outbox) -> None:
        super().__init__(site_id, budget, participant, outbox)
        self._grid = grid

    @staticmethod
    def place(adapter_digest: str, config_digest: str) -> str:
        """Return the name under which the outbox keeps a delta for sums, so that no other order can ask for this delta."""
        return f"{adapter_digest}+{config_digest}"

    def announce(self, order: TrainOrder, config_digest: str, held: Finished) -> ReadyReply:
        """Close the round's reservation, and announce a key for the attempt; see the base class.

        Whether a key or a refusal leaves depends on the delta. So the round is closed first: a site that has lost the stored
        delta must not train another one under the same charge.

        Raises
        ------
        MessageError
            The tensors of the delta are not those of the order's adapter in the same sequence, so the sum would be wrong.
        PrivacyError
            The delta is longer than the run's bound.
        LedgerError
            The ledger cannot be written.
        """
        self._budget.commit(order.run_id, order.round)
        if held.delta.spec != order.adapter.spec:
            raise MessageError(
                f"site {self._site_id}: its delta has other tensors than the order's adapter; run one version of hushtune "
                "everywhere"
            )
        self._grid.refuse_too_long(held.delta)
        return super().announce(order, config_digest, held)

    def refuse_unless_sound(self, order: MaskedOrder) -> Finished:
        """Check the order of the second phase; the answer depends on no record.

        Returns
        -------
        Finished
            The stored result of the round, with the sites of the order.

        Raises
        ------
        MessageError, PrivacyError
            No first phase of this attempt is open here, the list of announcements is not sound, or the delta of the round
            was added up with other sites before.
        """
        ready, names = self._ready_for(order), tuple(sorted(each.site_id for each in order.announcements))
        self._participant.refuse_unless_sound(ready.attempt, order.announcements)
        finished: Finished = ready.held
        if finished.sites not in ((), names):
            raise MessageError(
                f"site {self._site_id}: the delta of this round was added up with {', '.join(finished.sites)}, and a second "
                "sum over other sites would show single deltas; start an attempt with exactly these sites"
            )
        return replace(finished, sites=names)

    def masked(self, order: MaskedOrder) -> MaskedReply:
        """Mask this site's stored delta and return the vector; nothing is charged.

        Raises
        ------
        MessageError, PrivacyError
            As `refuse_unless_sound`; nothing leaves.
        LedgerError
            The ledger cannot be written.
        """
        finished, ready = self.refuse_unless_sound(order), self._ready_for(order)
        self._open = None  # whatever happens from here on, this key is used once
        place = self.place(ready.attempt.adapter_digest, ready.attempt.config_digest)
        self._outbox.store(order.run_id, order.round, place, finished)  # binds the list before anything leaves
        faults.point("finished", order.round)
        words = self._grid.words(self._site_id, finished.delta)
        vector = self._participant.mask(ready.attempt, order.announcements, words)
        head = self._budget.commit(order.run_id, order.round, reply=words_digest(vector))
        return MaskedReply(order.run_id, order.round, order.nonce, self._site_id, vector, head)


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
