"""The filter in front of the Fleet API on the public port.

Only requests that an admitted key has signed reach it, each once, and each of a bounded size. The signature is checked
before any of the body is read; all other requests are rejected here.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from server.network.fleet_api import PATHS, largest
from server.network.held_requests import Holder, Receive, Scope, Send
from server.network.replays import Replays
from shared.identity.request_signature import KEY, Claim

AT_ONCE = 8  # requests of one key that are read at the same time; a site makes at most 4
BODY = 180.0  # seconds in which the body of a request must arrive: 5 MB at 30 kB a second
CLOCK, REPLAYED, BUSY = 412, 425, 429  # HTTP statuses that a site tells apart


class RequestFilter:
    """An ASGI application that forwards permitted requests to another one.

    Parameters
    ----------
    app
        The application behind the filter.
    clock
        Returns the Unix time in seconds.

    Attributes
    ----------
    vouch
        Called with the address of a connection and the key when the signature of a request on it was right.
    """

    def __init__(self, app: Any, clock: Callable[[], float] = time.time) -> None:
        self.holder = Holder(app)
        self.vouch: Callable[[Any, bytes], None] = lambda *_: None
        self._clock = clock
        self._sites: Mapping[bytes, tuple[str, ec.EllipticCurvePublicKey]] = {}
        self._replays = Replays()
        self._reading: Counter[bytes] = Counter()

    def admit(self, sites: Mapping[bytes, str]) -> None:
        """Admit exactly these public keys, each for the site it maps to; replaces the keys admitted before."""
        gone = set(self._sites) - set(sites)
        self._sites = {key: (site, _loaded(key)) for key, site in sites.items()}
        for key in gone:
            self.holder.wake(key)

    @property
    def sites(self) -> int:
        """Return the number of keys that are admitted now."""
        return len(self._sites)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a permitted request; answer any other with an HTTP error status, and close its connection."""
        if scope["type"] != "http":
            return
        claim, status = self._judge(scope)
        body = b""
        if claim is not None and not status:
            self.vouch(scope.get("client"), claim.key)
            body, status = await self._body(claim, receive, largest(scope["path"]))
        if claim is None or status:
            headers = [(b"content-length", b"0"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        await self.holder.forward(claim.key, {**scope, "hushtune.key": claim.key}, _with(body, receive), send)

    def _judge(self, scope: Scope) -> tuple[Claim | None, int]:
        """Return who signed a request, and the HTTP error status for it, or 0 if it is permitted."""
        path = scope["path"]
        if path not in PATHS or scope["method"] != "POST":
            return None, 404
        claim, headers = Claim.read(scope["headers"]), dict(scope["headers"])
        size = headers.get(b"content-length", b"")
        if claim is None or not (size.isdigit() and len(size) < 10):
            return None, 400 if KEY.encode() in headers else 401
        if claim.key not in self._sites:
            return None, 401
        site, key = self._sites[claim.key]
        now = self._clock()
        if not claim.is_current(now):
            return None, CLOCK
        if not claim.is_signed(key, "POST", path):
            return None, 401
        if claim.site_id != site:
            return None, 403
        if int(size) > largest(path):
            return None, 413
        return (claim, 0) if self._replays.is_new(claim) else (None, REPLAYED)

    async def _body(self, claim: Claim, receive: Receive, most: int) -> tuple[bytes, int]:
        """Return the body of a request, and an HTTP error status, or 0 if it is the body that was signed."""
        if self._reading[claim.key] >= AT_ONCE:
            return b"", BUSY
        self._reading[claim.key] += 1
        try:
            body = await asyncio.wait_for(_read(receive, most), BODY)
        except TimeoutError:
            return b"", 408
        finally:
            self._reading[claim.key] -= 1
        if body is None:
            return b"", 413
        return (body, 0) if claim.has_body(body) else (b"", 400)


async def _read(receive: Receive, most: int) -> bytes | None:
    """Return the body of a request; None if it is too large or the connection was closed before its end."""
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event.get("body", b"")
        if len(body) > most:
            return None
        if not event.get("more_body"):
            return bytes(body)


def _with(body: bytes, receive: Receive) -> Receive:
    """Return a receive function that first returns the body that was read."""
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> dict[str, Any]:
        return parts.pop() if parts else await receive()

    return received


def _loaded(key: bytes) -> ec.EllipticCurvePublicKey:
    found = load_pem_public_key(key)
    assert isinstance(found, ec.EllipticCurvePublicKey)  # noqa: S101  the allow-list reads no other keys
    return found
