"""A run as it goes, as a page on this machine: each change is pushed to it by server-sent events."""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from types import TracebackType
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route, Router

from server.network.loopback import LoopbackServer, page_policy
from server.report.template import environment
from server.rounds import Round
from shared.errors import ConfigError
from shared.ops.address import is_loopback, parsed
from shared.ops.status import ServerStatus

QUIET = 10.0  # seconds after which a stream without news says that it is there


class News:
    """The newest state of a run, and who waits for the next one. Any thread may tell; the page's event loop waits."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._text, self._version, self._over = "{}", 0, False

    def tell(self, state: dict[str, Any]) -> None:
        """Pass a state on, if it is another one."""
        text = json.dumps(state, sort_keys=True)
        with self._lock:
            if text != self._text:
                self._text, self._version = text, self._version + 1
                self._wake()

    def end(self) -> None:
        """Let everyone go who waits."""
        with self._lock:
            self._over = True
            self._wake()

    async def after(self, version: int) -> tuple[int, str | None]:
        """The state and its version once it is newer than a version; None when nothing came for a while or it is over."""
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            if self._version == version and not self._over:
                self._waiting.add(waiter)
            else:
                waiter[1].set()
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(waiter[1].wait(), QUIET)
        finally:
            with self._lock:
                self._waiting.discard(waiter)
        with self._lock:
            return (self._version, self._text) if self._version > version else (version, None)

    async def stream(self) -> AsyncIterator[str]:
        """Yield each state as a server-sent event until the run is over, and a comment while nothing is new."""
        version = 0
        while True:
            version, text = await self.after(version)
            if text is None and self._over:
                return
            yield f"data: {text}\n\n" if text else ": here\n\n"

    def _wake(self) -> None:
        for loop, event in self._waiting:
            loop.call_soon_threadsafe(event.set)


class Live(LoopbackServer):
    """The page and its stream, behind a path that nobody else on the machine can guess.

    Raises:
        ConfigError: the address is not this machine's own.
        RunError: it is taken.
    """

    def __init__(self, address: str) -> None:
        host, port = parsed(address)
        if not is_loopback(host) or ":" in host:
            raise ConfigError(f"--live {address}: the page is for this machine alone; give 127.0.0.1:PORT")
        self.news, self.path = News(), f"/{secrets.token_urlsafe(16)}/"
        routes = [Route(self.path, self._page), Route(f"{self.path}events", self._events)]
        super().__init__(Router(routes, redirect_slashes=False), host, port, f"--live {address}")

    @property
    def url(self) -> str:
        """What to open in a browser."""
        return f"http://{self.host}:{self.port}{self.path}"

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.news.end()
        super().__exit__(kind, error, trace)

    def show(self, status: ServerStatus, rounds: Sequence[Round]) -> None:
        """Pass on how the run stands: what its status file and its report say, and nothing else."""
        self.news.tell({"status": status.model_dump(mode="json"), "rounds": [_row(done) for done in rounds]})

    def _page(self, request: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        page = environment(autoescape=True).get_template("live.html.j2").render(nonce=nonce)
        return HTMLResponse(page, headers=page_policy(nonce))

    def _events(self, request: Request) -> Response:
        return StreamingResponse(self.news.stream(), media_type="text/event-stream")


@contextmanager
def shown(address: str | None) -> Iterator[Live | None]:
    """The page for as long as a run goes, told to the operator; none without an address."""
    if address is None:
        yield None
        return
    with Live(address) as live:
        sys.stderr.write(f"hushtune: the run as it goes: {live.url}\n")
        yield live


def _row(done: Round) -> dict[str, Any]:
    """A round as the page shows it."""
    name, found = next(iter(done.metrics.items()), ("", None))
    return {
        "round": done.number,
        "committed": done.committed,
        "metric": name,
        "value": found and found.value,
        "low": found and found.low,
        "high": found and found.high,
        "accepted": len(done.accepted),
        "asked": len(done.asked),
        "seconds": round(done.seconds, 1),
    }
