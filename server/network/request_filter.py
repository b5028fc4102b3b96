"""The filter in front of Flower on the public port.

Only requests to the Fleet API, from an admitted key and of a bounded size, reach Flower; all others are rejected here.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from server.network.held_requests import Holder, Receive, Scope, Send

FLEET = "/v1/fleet/"
PATH = re.compile(r"/v1/fleet/[a-z-]+")
KEY_HEADER = b"flwr-public-key"
SITE_HEADER = b"x-hushtune-site"
LARGEST = 16 * 2**20  # bytes of a request; Flower sends arrays in pieces of 5 MB, so honest requests are far smaller


class RequestFilter:
    """An ASGI application that forwards permitted requests to another one, Flower's."""

    def __init__(self, app: Any) -> None:
        self.holder = Holder(app)
        self._sites: Mapping[bytes, str] = {}

    def admit(self, sites: Mapping[bytes, str]) -> None:
        """Admit exactly these public keys, each for the site it maps to; replaces the keys admitted before."""
        self._sites = dict(sites)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a permitted request; answer any other with an HTTP error status."""
        if scope["type"] != "http":
            return
        key, status = self._judge(scope)
        if status:
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        await self.holder.forward(key, scope, _bounded(receive), send)

    def _judge(self, scope: Scope) -> tuple[bytes, int]:
        """Return the key of a request, and the HTTP error status for it, or 0 if it is permitted."""
        if not PATH.fullmatch(scope["path"]) or scope["method"] != "POST":
            return b"", 404
        headers = dict(scope["headers"])
        try:
            key = base64.b64decode(headers.get(KEY_HEADER, b""), validate=True)
            size = int(headers.get(b"content-length", b"0"))
        except (binascii.Error, ValueError):
            return b"", 400
        if key not in self._sites:
            return key, 401
        if headers.get(SITE_HEADER, b"").decode("latin-1") != self._sites[key]:
            return key, 403
        return key, 413 if size > LARGEST else 0


def _bounded(receive: Receive) -> Receive:
    """Return a receive function that reports a disconnect once more than ``LARGEST`` bytes have arrived."""
    seen = 0

    async def bounded() -> dict[str, Any]:
        nonlocal seen
        event = await receive()
        seen += len(event.get("body", b""))
        return event if seen <= LARGEST else {"type": "http.disconnect"}

    return bounded
