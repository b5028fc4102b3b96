"""The page to rate on: this machine alone, one rater a process, nothing loaded from elsewhere."""

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from server.review.ratings import CHOICES, Ratings
from server.review.sheet import Item
from shared.errors import RunError

LOOPBACK = "127.0.0.1"
LONGEST = 1000  # bytes of a rating


@dataclass(frozen=True)
class Desk:
    """What a rater works on. The token is in the page alone, so that no other page in the browser can rate."""

    items: list[Item]
    ratings: Ratings
    token: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(24))
    writing: Lock = field(repr=False, default_factory=Lock)

    def page(self, nonce: str) -> str:
        """The page, which asks for the state by itself."""
        found = Environment(loader=PackageLoader("server.review", ""), autoescape=True, undefined=StrictUndefined)
        return found.get_template("page.html.j2").render(nonce=nonce, token=self.token)

    def state(self) -> dict[str, Any]:
        """The items and what was said of them so far; never whose an answer is."""
        return {"items": [asdict(item) for item in self.items], "ratings": self.ratings.read()}

    def rate(self, body: bytes) -> bool:
        """Keep a rating; False when it is none."""
        try:
            row = json.loads(body)
            item, choice = row["item"], row["choice"]
        except (ValueError, KeyError, TypeError):
            return False
        if choice not in CHOICES or not isinstance(item, str) or item not in {each.id for each in self.items}:
            return False
        with self.writing:
            self.ratings.add(item, choice)
        return True


class Server(ThreadingHTTPServer):
    """A desk on a loopback port; port 0 takes a free one.

    Raises:
        RunError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, desk: Desk, port: int) -> None:
        self.desk = desk
        try:
            super().__init__((LOOPBACK, port), Visit)
        except OSError as error:
            raise RunError(f"--port {port}: cannot be used ({error.strerror}); choose another") from error

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{LOOPBACK}:{self.server_port}/"


class Visit(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_GET(self) -> None:
        """The page, or the state."""
        nonce = secrets.token_urlsafe(16)
        if not self._is_ours():
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"")
        elif self.path == "/":
            page = self.server.desk.page(nonce).encode()
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", page, _policy(nonce))
        elif self.path == "/state" and self._has_token():
            self._answer(HTTPStatus.OK, "application/json", json.dumps(self.server.desk.state()).encode())
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"")

    def do_POST(self) -> None:
        """A rating."""
        length = self.headers.get("Content-Length") or ""
        if not self._is_ours() or not self._has_token() or self.path != "/rate":
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"")
        elif not length.isdecimal() or int(length) > LONGEST or not self.server.desk.rate(self.rfile.read(int(length))):
            self._answer(HTTPStatus.BAD_REQUEST, "text/plain", b"")
        else:
            self._answer(HTTPStatus.NO_CONTENT, "text/plain", b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""

    def _is_ours(self) -> bool:
        """Whether the browser means this address: another name for it would be somebody's rebinding."""
        port = self.server.server_port
        return self.headers.get("Host") in {f"{name}:{port}" for name in (LOOPBACK, "localhost")}

    def _has_token(self) -> bool:
        return hmac.compare_digest(self.headers.get("X-Token", "").encode(), self.server.desk.token.encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes, more: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store"}
        for name, value in (headers | {"X-Content-Type-Options": "nosniff"} | dict(more or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _policy(nonce: str) -> dict[str, str]:
    rules = f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'"
    return {"Content-Security-Policy": f"{rules}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
