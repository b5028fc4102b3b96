"""A run as it goes, as a page on this machine: each change is pushed to it by server-sent events."""

import json
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Self

from server.report.template import environment
from server.rounds import Round
from shared.errors import ConfigError, RunError
from shared.ops.address import is_loopback, parsed
from shared.ops.status import ServerStatus

QUIET = 10.0  # seconds after which a stream without news says that it is there


class News:
    """The newest state of a run, and who waits for the next one."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._text, self._version, self._over = "{}", 0, False

    def tell(self, state: dict[str, Any]) -> None:
        """Pass a state on, if it is another one."""
        text = json.dumps(state, sort_keys=True)
        with self._changed:
            if text != self._text:
                self._text, self._version = text, self._version + 1
                self._changed.notify_all()

    def end(self) -> None:
        """Let everyone go who waits."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def after(self, version: int) -> tuple[int, str | None]:
        """The state and its version once it is newer than a version; None when nothing came for a while or it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._version > version or self._over, timeout=QUIET)
            return (self._version, self._text) if self._version > version else (version, None)

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self._over


class Live(ThreadingHTTPServer):
    """The page and its stream, behind a path that nobody else on the machine can guess.

    Raises:
        ConfigError: the address is not this machine's own.
        RunError: it is taken.
    """

    daemon_threads = True

    def __init__(self, address: str) -> None:
        host, port = parsed(address)
        if not is_loopback(host) or ":" in host:
            raise ConfigError(f"--live {address}: the page is for this machine alone; give 127.0.0.1:PORT")
        self.news, self._secret = News(), secrets.token_urlsafe(16)
        try:
            super().__init__((host, port), Visit)
        except OSError as error:
            raise RunError(f"--live {address}: cannot be opened ({error.strerror}); give a free address") from error
        self._thread = Thread(target=self.serve_forever, args=(0.2,), daemon=True)

    @property
    def url(self) -> str:
        """What to open in a browser."""
        return f"http://{self.server_address[0]!s}:{self.server_port}{self.path}"

    @property
    def path(self) -> str:
        """The page's own path."""
        return f"/{self._secret}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.news.end()
        self.shutdown()
        self.server_close()

    def show(self, status: ServerStatus, rounds: Sequence[Round]) -> None:
        """Pass on how the run stands: what its status file and its report say, and nothing else."""
        self.news.tell({"status": status.model_dump(mode="json"), "rounds": [_row(done) for done in rounds]})


@contextmanager
def shown(address: str | None) -> Iterator[Live | None]:
    """The page for as long as a run goes, told to the operator; none without an address."""
    if address is None:
        yield None
        return
    with Live(address) as live:
        sys.stderr.write(f"hushtune: the run as it goes: {live.url}\n")
        yield live


class Visit(BaseHTTPRequestHandler):
    """One request."""

    server: Live

    def do_GET(self) -> None:
        """The page, or its stream."""
        if self.path == self.server.path:
            self._page()
        elif self.path == f"{self.server.path}events":
            self._stream()
        else:
            self._head(HTTPStatus.NOT_FOUND, "text/plain")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""

    def _page(self) -> None:
        nonce = secrets.token_urlsafe(16)
        page = environment(autoescape=True).get_template("live.html.j2").render(nonce=nonce)
        rules = f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'"
        self._head(HTTPStatus.OK, "text/html; charset=utf-8", f"{rules}; base-uri 'none'; frame-ancestors 'none'")
        self.wfile.write(page.encode())

    def _stream(self) -> None:
        self._head(HTTPStatus.OK, "text/event-stream")
        version, news = 0, self.server.news
        try:
            while True:
                version, text = news.after(version)
                if text is None and news.over:
                    return
                self.wfile.write(f"data: {text}\n\n".encode() if text else b": here\n\n")
                self.wfile.flush()
        except OSError:  # the browser is gone
            return

    def _head(self, status: HTTPStatus, kind: str, policy: str = "default-src 'none'") -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Cache-Control": "no-store", "Content-Security-Policy": policy}
        for name, value in (headers | {"Referrer-Policy": "no-referrer", "Connection": "close"}).items():
            self.send_header(name, value)
        self.end_headers()


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
