"""Hold a site's request for messages until there is a message, so that an order leaves without waiting for the next request.

The Fleet API answers a request for messages at once, so a site has to ask again and again, and each order waits for the next
request. Here an empty answer is held back. When a message comes, the same request goes to the Fleet API once more. Only a
request that the Fleet API has accepted is ever held, and at most one for each key.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

HOLD = 5.0  # seconds that a request for messages is held, so that a site soon notices that the server has gone
PULL = "/v1/fleet/pull-messages"
ACTIVATE = "/v1/fleet/activate-node"


@dataclass
class _Held:
    """A request on hold: the event that ends the wait, and whether another request of the same key took its place."""

    loop: asyncio.AbstractEventLoop
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    replaced: bool = False

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.ended.set)


@dataclass
class _Answer:
    """An answer of the Fleet API that is held back."""

    events: list[dict[str, Any]] = field(default_factory=list)

    async def keep(self, event: dict[str, Any]) -> None:
        self.events.append(event)

    @property
    def status(self) -> int:
        return int(next((event["status"] for event in self.events if event["type"] == "http.response.start"), 0))

    @property
    def is_empty(self) -> bool:
        """Whether the Fleet API accepted the request and had no message: an empty protobuf message has no bytes."""
        return self.status == 200 and not any(event.get("body") for event in self.events)


class Holder:
    """Forwards requests to the Fleet API, and holds requests for messages. Any thread may call ``wake`` and ``close``."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._held: dict[bytes, _Held] = {}
        self._woken: dict[bytes, int] = {}
        self._closed = False

    def wake(self, key: bytes) -> None:
        """Forward the held request of a key again, because there is a message for the site."""
        with self._lock:
            self._woken[key] = self._woken.get(key, 0) + 1
            self._end(key)

    def close(self) -> None:
        """Answer all held requests, and hold no more."""
        with self._lock:
            self._closed = True
            for key in self._held:
                self._end(key)

    async def forward(self, key: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request of an admitted key, and send the answer."""
        if scope["path"] == PULL:
            await self._pull(key, scope, receive, send)
            return
        answer = _Answer()

        async def watched(event: dict[str, Any]) -> None:
            if event["type"] == "http.response.start":
                answer.events.append(event)
            await send(event)

        await self._app(scope, receive, watched)
        if answer.status == 200 and scope["path"] == ACTIVATE:
            with self._lock:  # whoever holds an older request has gone, and must take no message of the new session
                self._replace(key)

    async def _pull(self, key: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request for messages; if there is none, hold the request and then forward it once more."""
        woken = self._woken.get(key, 0)
        request = (await receive())["body"]
        answer = await self._ask(scope, request)
        if answer.is_empty:
            go_on = await self._hold(key, woken, receive)
            if go_on is None:
                return
            answer = await self._ask(scope, request) if go_on else answer
        for event in answer.events:
            await send(event)

    async def _ask(self, scope: Scope, body: bytes) -> _Answer:
        """Return the answer to a request with this body."""
        answer = _Answer()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, receive, answer.keep)
        return answer

    async def _hold(self, key: bytes, woken: int, receive: Receive) -> bool | None:
        """Wait until the key is woken, which it was ``woken`` times before the request went to the Fleet API.

        Returns
        -------
        bool or None
            Whether the key was woken; None if nobody waits for the answer any more.
        """
        held = _Held(asyncio.get_running_loop())
        with self._lock:
            if self._closed or self._woken.get(key, 0) != woken:
                return not self._closed
            self._replace(key)
            self._held[key] = held
        gone, called = asyncio.ensure_future(receive()), asyncio.ensure_future(held.ended.wait())
        try:
            await asyncio.wait({gone, called}, timeout=HOLD, return_when=asyncio.FIRST_COMPLETED)
        finally:
            with self._lock:
                if self._held.get(key) is held:
                    del self._held[key]
            called.cancel()
            left = gone.done()
            gone.cancel()
        return None if left or held.replaced else held.ended.is_set() and not self._closed

    def _replace(self, key: bytes) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            held.replaced = True
            held.end()

    def _end(self, key: bytes) -> None:
        if key in self._held:
            self._held[key].end()
