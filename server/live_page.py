"""Show the progress of a run on a local web page, which receives every change as a server-sent event.

The server renders the whole page, so a browser without scripts shows the same; it loads the page again from time to time.
"""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from statistics import median
from threading import Lock
from types import TracebackType
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route, Router

from server.network.loopback import LoopbackServer, page_policy
from server.report.charts import Point
from server.report.figures import duration
from server.report.live_chart import live_chart
from server.report.template import environment
from server.rounds import Round
from shared.errors import ConfigError
from shared.metrics.registry import measure
from shared.ops.address import is_loopback, parsed
from shared.ops.status import ServerStatus

STAGES = {
    "starting": "starting",
    "waiting_for_sites": "waiting for sites",
    "asking": "sites are training",
    "between_rounds": "between rounds",
    "finished": "finished",
    "failed": "stopped",
}
QUIET = 10.0  # seconds without a change after which a stream sends a comment, to keep the connection open


class News:
    """The newest state of a run. Any thread may set it; streams in the page's event loop wait for changes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._text, self._version, self._over = "{}", 0, False

    def tell(self, state: dict[str, Any]) -> None:
        """Set the state and wake all waiting streams, if it differs from the current one."""
        text = json.dumps(state, sort_keys=True)
        with self._lock:
            if text != self._text:
                self._text, self._version = text, self._version + 1
                self._wake()

    @property
    def state(self) -> dict[str, Any]:
        """The newest state."""
        with self._lock:
            found: dict[str, Any] = json.loads(self._text)
        return found

    def end(self) -> None:
        """Mark the run as over and wake all waiting streams."""
        with self._lock:
            self._over = True
            self._wake()

    async def after(self, version: int) -> tuple[int, str | None]:
        """Wait for a state newer than ``version``; return its version and the state as JSON.

        The state is None if none came within ``QUIET`` seconds or the run is over.
        """
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
        """Yield each state as a server-sent event until the run is over, and a comment when nothing changed for a while."""
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
    """Serve the page and its stream on loopback, under a random path that other users of the machine cannot guess.

    Raises
    ------
    ConfigError
        The address is not a loopback address.
    RunError
        The address cannot be opened.
    """

    def __init__(self, address: str) -> None:
        host, port = parsed(address)
        if not is_loopback(host) or ":" in host:
            raise ConfigError(
                f"--live {address}: not a loopback address, and the page is for this machine only; give 127.0.0.1:PORT"
            )
        self.news, self.path = News(), f"/{secrets.token_urlsafe(16)}/"
        routes = [Route(self.path, self._page), Route(f"{self.path}events", self._events)]
        super().__init__(Router(routes, redirect_slashes=False), host, port, f"--live {address}")

    @property
    def url(self) -> str:
        """The address to open in a browser."""
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
        """Send the page the content of the status file and the figures of the rounds, which the report also has."""
        self.news.tell({"run": status.run, "line": _line(status), "body": _body(status, rounds)})

    def html(self, nonce: str) -> str:
        """Render the page as it is now."""
        now = self.news.state
        body = Markup(now.get("body", ""))  # noqa: S704  rendered and escaped by ``_body``
        return (
            environment()
            .get_template("live.html.j2")
            .render(nonce=nonce, run=now.get("run", ""), line=now.get("line", ""), body=body)
        )

    def _page(self, request: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        return HTMLResponse(self.html(nonce), headers=page_policy(nonce))

    def _events(self, request: Request) -> Response:
        return StreamingResponse(self.news.stream(), media_type="text/event-stream")


@contextmanager
def shown(address: str | None) -> Iterator[Live | None]:
    """Serve the page during a run and print its address for the operator; yield None without an address."""
    if address is None:
        yield None
        return
    with Live(address) as live:
        sys.stderr.write(f"hushtune: live page of the run: {live.url}\n")
        yield live


def _line(status: ServerStatus) -> str:
    """Return one sentence on the state of the run, which a screen reader announces."""
    waits = f"; waiting for replies from {', '.join(status.waits_for)}" if status.waits_for else ""
    return f"Round {status.round} of {status.rounds}, {status.committed} committed: {STAGES[status.stage]}{waits}"


def _body(status: ServerStatus, rounds: Sequence[Round]) -> str:
    """Render progress, chart, rounds and sites."""
    metric = next((name for done in rounds for name in done.metrics), "")
    committed = [done for done in rounds if done.committed]
    points = [
        Point(str(done.number), found.value, found.low, found.high)
        for done in committed
        if (found := done.metrics.get(metric)) is not None
    ]
    label = f"{measure(metric).label} after each round" if metric else ""
    return (
        environment()
        .get_template("live_body.html.j2")
        .render(
            s=status,
            metric=metric,
            rounds=[_row(done, metric) for done in rounds],
            percent=100 * status.committed // status.rounds,
            left=_left(status, committed),
            chart=Markup(live_chart(label, metric, points, status.rounds)),  # noqa: S704  escaped where it is drawn
        )
    )


def _left(status: ServerStatus, committed: Sequence[Round]) -> str:
    """Estimate how long the remaining rounds take; empty where there is nothing to estimate from."""
    rest = status.rounds - status.committed
    if not committed or not rest or status.stage in ("finished", "failed"):
        return ""
    return duration(rest * median(done.seconds for done in committed))


def _row(done: Round, metric: str) -> dict[str, Any]:
    """Return the figures of a round that the page shows."""
    found = done.metrics.get(metric)
    return {
        "number": done.number,
        "committed": done.committed,
        "found": found and {"value": found.value, "low": found.low, "high": found.high},
        "accepted": len(done.accepted),
        "asked": len(done.asked),
        "seconds": f"{done.seconds:.1f}",
    }
