"""Make pairwise masks that cancel in the sum over all sites of one attempt.

Each pair of sites agrees on a secret by X25519 (RFC 7748), derives a key from the secret and the whole transcript by
HKDF-SHA256 (RFC 5869), and stretches the key by ChaCha20 (RFC 8439). The site whose name sorts first adds the stream, the
other subtracts it, modulo 2^32 (Bonawitz et al. 2017, doi 10.1145/3133956.3133982, without self-masks and secret shares:
nothing is ever unmasked here).
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.errors import MessageError

KEY_BYTES = 32
LABEL = b"hushtune/secagg/1/mask"
Words = npt.NDArray[np.uint32]


def masked(values: Words, site_id: str, secret: X25519PrivateKey, peers: Mapping[str, bytes], transcript: bytes) -> Words:
    """Add the masks that a site shares with each of its peers.

    Parameters
    ----------
    values
        What the site adds up modulo 2^32, its noised sum or its noised delta, (d,).
    site_id
        Name of the site.
    secret
        The site's ephemeral key of this attempt; use it for one vector only.
    peers
        Public X25519 key, 32 bytes, of each other site.
    transcript
        SHA-256 of all that the sites of this attempt agreed on, 32 bytes.

    Returns
    -------
    numpy.ndarray
        The masked vector, (d,) uint32. It is uniformly distributed for everybody who lacks at least one pair's key.

    Raises
    ------
    MessageError
        A peer's key gives no secret (a point of small order).
    """
    total = values.copy()
    for peer, key in peers.items():
        first, second = sorted((site_id, peer))
        stream = _stream(_pair_key(agreed(secret, key, peer), transcript, first, second), len(values))
        if site_id == first:
            total += stream
        else:
            total -= stream
    return total


def agreed(secret: X25519PrivateKey, key: bytes, peer: str) -> bytes:
    """Return the secret that a site shares with a peer, 32 bytes.

    Parameters
    ----------
    secret
        The site's ephemeral key of this attempt.
    key
        Public X25519 key of the peer, 32 bytes.
    peer
        Name of the peer.

    Raises
    ------
    MessageError
        The peer's key gives no secret (a point of small order).
    """
    try:
        return secret.exchange(X25519PublicKey.from_public_bytes(key))
    except ValueError as error:
        raise MessageError(f"secure sum: the mask key of site {peer} gives no secret; refuse the attempt") from error


def _pair_key(shared: bytes, transcript: bytes, first: str, second: str) -> bytes:
    info = b"|".join((LABEL, first.encode(), second.encode()))  # a site's name has no '|'
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=transcript, info=info).derive(shared)


def _stream(key: bytes, count: int) -> Words:
    """Stretch a key to ``count`` words of 32 bits."""
    return np.frombuffer(Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(4 * count)), dtype="<u4")
