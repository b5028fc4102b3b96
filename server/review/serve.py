"""Serve the page on which one rater compares answers; only this machine can open it, and it loads nothing from elsewhere."""

import hmac
import secrets
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, Router

from server.network.loopback import LOOPBACK, LoopbackServer, page_policy
from server.review.ratings import Ratings, read_rating
from server.review.sheet import Item

LONGEST = 1000  # bytes of a rating


@dataclass(frozen=True)
class RatingSession:
    """The items to compare and the ratings of one rater.

    The token is only in the page, so that no other web page in the browser can send ratings.
    """

    items: list[Item]
    ratings: Ratings
    token: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(24))
    writing: Lock = field(repr=False, default_factory=Lock)

    def page(self, nonce: str) -> str:
        """Render the page; its script then requests the state."""
        found = Environment(loader=PackageLoader("server.review", ""), autoescape=True, undefined=StrictUndefined)
        return found.get_template("page.html.j2").render(nonce=nonce, token=self.token)

    def state(self) -> dict[str, Any]:
        """Return the items and the ratings so far; they do not reveal which model gave an answer."""
        return {"items": [asdict(item) for item in self.items], "ratings": self.ratings.read()}

    def rate(self, body: bytes) -> bool:
        """Store a rating; return False if the body is not a valid one."""
        rating = read_rating(body)
        if rating is None or rating[0] not in {item.id for item in self.items}:
            return False
        with self.writing:
            self.ratings.add(*rating)
        return True


class RatingServer(LoopbackServer):
    """Serve a session on a loopback port, under a random path that other users of the machine cannot guess.

    Port 0 chooses a free one.

    Raises
    ------
    RunError
        The port cannot be opened.
    """

    def __init__(self, session: RatingSession, port: int) -> None:
        self.session, self.path = session, f"/{secrets.token_urlsafe(16)}/"
        routes = [
            Route(self.path, self._page),
            Route(f"{self.path}state", self._state),
            Route(f"{self.path}rate", self._rate, methods=["POST"]),
        ]
        super().__init__(self.only_ours(Router(routes, redirect_slashes=False)), LOOPBACK, port, f"--port {port}")

    @property
    def address(self) -> str:
        """The address to open in a browser."""
        return f"http://{LOOPBACK}:{self.port}{self.path}"

    def _page(self, request: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        return HTMLResponse(self.session.page(nonce), headers=page_policy(nonce))

    def _state(self, request: Request) -> Response:
        return JSONResponse(self.session.state()) if self._has_token(request) else Response(status_code=404)

    async def _rate(self, request: Request) -> Response:
        length = request.headers.get("Content-Length", "")
        if not self._has_token(request):
            return Response(status_code=403)
        if not length.isdecimal() or int(length) > LONGEST:
            return Response(status_code=400)
        kept = await run_in_threadpool(self.session.rate, await request.body())
        return Response(status_code=204 if kept else 400)

    def _has_token(self, request: Request) -> bool:
        return hmac.compare_digest(request.headers.get("X-Token", "").encode(), self.session.token.encode())
