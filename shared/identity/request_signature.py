"""Sign a site's request and check the signature, which binds the method, the path, the body, the time and a random name.

Flower's own node authentication signs only a time, so whoever has seen one request could send another one in its place.
"""

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

WINDOW = 300.0  # seconds that the clocks of a site and of the server may differ; within it, no request is accepted twice
NONCE_BYTES = 16
KEY, SITE, DIGEST, TIME, NONCE, SIGNATURE = (
    f"x-hushtune-{name}" for name in ("key", "site", "digest", "time", "nonce", "signature")
)
IDENTITY = (KEY, SITE, DIGEST, TIME, NONCE, SIGNATURE)
FORM = re.compile(r"[0-9a-f]{64}\n[0-9]{1,12}\.[0-9]{3}\n[0-9a-f]{32}")


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key in PEM, the form in which Flower registers a node."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def signed_headers(key: ec.EllipticCurvePrivateKey, site_id: str, method: str, path: str, body: bytes) -> dict[str, str]:
    """Return the headers that prove which site makes a request, signed with the site's private key."""
    digest, moment, nonce = hashlib.sha256(body).hexdigest(), f"{time.time():.3f}", secrets.token_hex(NONCE_BYTES)
    signature = key.sign(_text(method, path, site_id, digest, moment, nonce), ec.ECDSA(SHA256()))
    public = base64.b64encode(public_bytes(key.public_key())).decode()
    return dict(zip(IDENTITY, (public, site_id, digest, moment, nonce, base64.b64encode(signature).decode()), strict=True))


@dataclass(frozen=True)
class Claim:
    """What the headers of a request say about its sender; nothing of it is proved until ``is_signed``."""

    key: bytes
    site_id: str
    digest: str
    moment: str
    nonce: str
    signature: bytes

    @classmethod
    def read(cls, headers: Iterable[tuple[bytes, bytes]]) -> "Claim | None":
        """Read the identity headers of a request.

        Parameters
        ----------
        headers
            Names in lower case, and values.

        Returns
        -------
        Claim or None
            None if any header is there twice, so that no two readers see different values, or one has another form.
        """
        found: dict[str, str] = {}
        for name, value in headers:
            if name.decode("latin-1") in found:
                return None
            found[name.decode("latin-1")] = value.decode("latin-1")
        key, site_id, digest, moment, nonce, signature = (found.get(name, "") for name in IDENTITY)
        try:
            claim = cls(_decoded(key), site_id, digest, moment, nonce, _decoded(signature))
        except ValueError:
            return None
        return claim if FORM.fullmatch(f"{digest}\n{moment}\n{nonce}") else None

    def is_current(self, now: float) -> bool:
        """Return whether the request was made at about the time ``now`` (Unix time in seconds)."""
        return abs(now - float(self.moment)) < WINDOW

    def is_signed(self, key: ec.EllipticCurvePublicKey, method: str, path: str) -> bool:
        """Return whether the owner of a site's public key made this request, with a body of this digest."""
        text = _text(method, path, self.site_id, self.digest, self.moment, self.nonce)
        try:
            key.verify(self.signature, text, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    def has_body(self, body: bytes) -> bool:
        """Return whether this is the body that was signed."""
        return hashlib.sha256(body).hexdigest() == self.digest


def _decoded(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii"), validate=True)


def _text(method: str, path: str, site_id: str, digest: str, moment: str, nonce: str) -> bytes:
    """Return what is signed: one value a line, none of which can hold a line's end."""
    return "\n".join(("hushtune request", method, path, site_id, digest, moment, nonce)).encode()
