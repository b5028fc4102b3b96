"""Serve a web page to the browsers of this machine only."""

import os
import socket
from threading import Thread
from types import TracebackType
from typing import Self

import uvicorn
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import RunError

LOOPBACK = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LoopbackServer:
    """Serve an ASGI application in a background thread, without any log.

    Parameters
    ----------
    app
        The application; each of its responses gets ``HEADERS``, unless the response sets that header itself.
    host
        A loopback address.
    port
        The port; 0 chooses a free one.
    option
        The command line option that named the port, for the error message.

    Raises
    ------
    RunError
        The port cannot be opened.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, option: str) -> None:
        try:
            self._socket = socket.create_server((host, port))
        except OSError as error:
            raise RunError(f"{option}: cannot be opened ({os.strerror(error.errno or 0)}); give a free port") from error
        config = uvicorn.Config(
            _WithHeaders(app),
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self.host, self.port = self._socket.getsockname()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    def only_ours(self, app: ASGIApp) -> ASGIApp:
        """Refuse requests with another Host header, which come from DNS rebinding: a web page whose name points here."""

        async def checked(scope: Scope, receive: Receive, send: Send) -> None:
            ours = {f"{name}:{self.port}" for name in (LOOPBACK, "localhost")}
            allowed = Headers(scope=scope).getlist("host") in [[name] for name in ours]
            await (app if allowed else Response(status_code=403))(scope, receive, send)

        return checked

    def wait(self) -> None:
        """Wait until the server ends or the process is interrupted."""
        self._thread.join()


def page_policy(nonce: str) -> dict[str, str]:
    """Return the header that permits only the script and style with this nonce, and requests to this server."""
    rules = f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'"
    return {"Content-Security-Policy": f"{rules}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}


class _WithHeaders:
    """Add ``HEADERS`` to each response of an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
