"""Take part in one attempt at a secure sum, in two phases: announce a mask key, then send one masked vector.

Nothing is ever unmasked. An attempt that misses a vector is void; the next attempt has a new batch, new noise and new keys.
What the protocol does not protect against: a site that adds a wrong vector, a server that answers nobody, a roster that was
forged when it was made, and timing.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from privacy.secagg.masks import KEY_BYTES, Words, agreed, masked
from privacy.secagg.roster import SIGNED_WITH, Roster
from shared.errors import MessageError, PrivacyError
from shared.wire.announcement import Announcement

LABEL = b"hushtune/secagg/1"


@dataclass(frozen=True)
class Attempt:
    """Everything that names one attempt at one round of one run; all sites sign it."""

    run_id: str
    round: int
    number: int
    nonce: str
    adapter_digest: str
    config_digest: str

    def message(self, site_id: str, key: bytes) -> bytes:
        """Return what a site signs to announce its mask key in this attempt."""
        return _joined(LABEL, *self._parts(), site_id.encode(), key)

    def transcript(self, announcements: Sequence[Announcement]) -> bytes:
        """Return SHA-256 over the attempt and all announcements, in the order of the sites' names."""
        parts = [
            part for each in sorted(announcements, key=lambda a: a.site_id) for part in (each.site_id.encode(), each.key)
        ]
        return hashlib.sha256(_joined(LABEL, *self._parts(), *parts)).digest()

    def _parts(self) -> tuple[bytes, ...]:
        texts = (self.run_id, str(self.round), str(self.number), self.nonce, self.adapter_digest, self.config_digest)
        return tuple(text.encode() for text in texts)


class Participant:
    """A site's part in secure sums; it answers each attempt at most once.

    Parameters
    ----------
    site_id
        Name of this site.
    signing_key
        The site's private key on P-384, which its peers have pinned.
    roster
        The keys of all sites that this site agrees to add up with.
    minimum_sites
        Fewest sites of a sum, from the site's own policy.
    colluders
        Sites that may collude with the server; at least two others must be in every sum.
    """

    def __init__(
        self, site_id: str, signing_key: ec.EllipticCurvePrivateKey, roster: Roster, minimum_sites: int, colluders: int
    ) -> None:
        self._site_id, self._signing_key, self._roster = site_id, signing_key, roster
        self._fewest = max(minimum_sites, colluders + 2)
        self._open: tuple[Attempt, X25519PrivateKey, Announcement] | None = None

    def announce(self, attempt: Attempt) -> Announcement:
        """Make an ephemeral key for an attempt; the key of an earlier attempt is forgotten."""
        secret = X25519PrivateKey.generate()
        key = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        mine = Announcement(self._site_id, key, self._signing_key.sign(attempt.message(self._site_id, key), SIGNED_WITH))
        self._open = attempt, secret, mine
        return mine

    def refuse_unless_sound(self, attempt: Attempt, announcements: Sequence[Announcement]) -> X25519PrivateKey:
        """Check the list of all sites of an attempt before any noise is drawn or budget spent.

        Returns
        -------
        X25519PrivateKey
            This site's ephemeral key for the attempt.

        Raises
        ------
        MessageError
            The attempt is not the one that this site announced a key for, or was answered; this site's key is missing or
            changed; a site is not pinned, did not sign its key, or occurs twice; two keys are equal; or a key gives no
            secret.
        PrivacyError
            There are too few sites.
        """
        if self._open is None or self._open[0] != attempt:
            raise MessageError("secure sum: this site announced no key for this attempt, or has answered it; start another")
        names = [each.site_id for each in announcements]
        if self._open[2] not in announcements:
            raise MessageError("secure sum: the list of mask keys lacks this site's own; start another attempt")
        if len(set(names)) != len(names) or len({each.key for each in announcements}) != len(names):
            raise MessageError("secure sum: a site or a mask key is in the list twice; start another attempt")
        for each in announcements:
            if len(each.key) != KEY_BYTES:
                raise MessageError(f"secure sum: the mask key of site {each.site_id} does not have {KEY_BYTES} bytes")
            self._roster.refuse_unless_signed(each.site_id, attempt.message(each.site_id, each.key), each.signature)
            agreed(self._open[1], each.key, each.site_id)
        if len(names) < self._fewest:
            raise PrivacyError(
                f"secure sum: {len(names)} sites, and this site's policy asks for {self._fewest}; wait for more of them"
            )
        return self._open[1]

    def mask(self, attempt: Attempt, announcements: Sequence[Announcement], values: Words) -> Words:
        """Mask this site's noised sum and forget the ephemeral key, so that the attempt cannot be answered again.

        Raises
        ------
        MessageError, PrivacyError
            As `refuse_unless_sound`.
        """
        secret = self.refuse_unless_sound(attempt, announcements)
        self._open = None
        peers = {each.site_id: each.key for each in announcements if each.site_id != self._site_id}
        return masked(values, self._site_id, secret, peers, attempt.transcript(announcements))


def total(vectors: Sequence[npt.NDArray[np.uint32]]) -> npt.NDArray[np.uint32]:
    """Add masked vectors modulo 2^32, each (d,); with the vectors of all sites of an attempt the masks cancel."""
    added = np.zeros_like(vectors[0])
    for vector in vectors:
        added += vector
    return added


def _joined(*parts: bytes) -> bytes:
    """Join byte strings so that no two different lists give the same bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
