"""The two ports of a server: a loopback port for the server itself, opened first, and the public port for sites."""

import asyncio
import socket
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn

from server.network.connections import Doorkeeper, more_files
from shared.errors import RunError

PATIENCE = 20.0  # seconds to wait for a port to open
KEEP_ALIVE = 60  # seconds that an unused connection stays open; a site ends it first, so it never sends on a closed one


class Listeners:
    """Serve the ASGI application ``private`` on loopback and ``public`` on the public port, in a background thread."""

    def __init__(self, private: Any, public: Any, port: socket.socket, certificate: Path | None, key: Path | None) -> None:
        more_files()
        loopback = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{loopback.getsockname()[1]}"
        quiet: dict[str, Any] = {"log_config": None, "log_level": "critical", "timeout_graceful_shutdown": 2, "ws": "none"}
        quiet["timeout_keep_alive"] = KEEP_ALIVE
        tls: dict[str, Any] = {"ssl_certfile": certificate, "ssl_keyfile": key} if certificate else {}
        self._private = uvicorn.Server(uvicorn.Config(private, **quiet))
        # h11 refuses headers beyond 64 kB; the faster parser would keep whatever an outsider sends.
        self._public = _PublicServer(uvicorn.Config(public, lifespan="off", http="h11", **quiet, **tls), port, public)
        self._loopback = loopback
        self._may_open = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def open_private(self) -> None:
        """Start the thread and open the loopback port."""
        self._thread.start()
        self._wait(self._private, "its loopback port")

    def open_public(self) -> None:
        """Open the public port."""
        self._may_open.set()
        self._wait(self._public, "its public port")

    def close(self) -> None:
        """Close both ports."""
        self._private.should_exit = self._public.should_exit = True
        self._may_open.set()
        if self._thread.is_alive():
            self._thread.join(10)

    async def _serve(self) -> None:
        tasks = [asyncio.create_task(self._private.serve([self._loopback]))]
        while not self._may_open.is_set():
            await asyncio.sleep(0.02)
        if not self._public.should_exit:
            tasks.append(asyncio.create_task(self._public.serve()))
        await asyncio.gather(*tasks)

    def _wait(self, server: uvicorn.Server, what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise RunError(f"server: cannot open {what}; check server.crt and server.key (hushtune provision verify)")
            time.sleep(0.02)


class _PublicServer(uvicorn.Server):
    """A server whose connections a doorkeeper accepts, in place of asyncio, which accepts any number for any time."""

    def __init__(self, config: uvicorn.Config, port: socket.socket, public: Any) -> None:
        super().__init__(config)
        self._port, self._public = port, public
        self._accepting: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        config = self.config

        def protocol() -> Any:
            return config.http_protocol_class(  # type: ignore[call-arg]  # uvicorn's own classes take these
                config=config, server_state=self.server_state, app_state={}
            )

        self.servers = []
        doorkeeper = Doorkeeper(protocol, config.ssl, lambda: self._public.sites)
        self._public.vouch = doorkeeper.vouch
        self._accepting = asyncio.create_task(doorkeeper.serve(self._port))
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, let requests end, then close all connections."""
        await super().shutdown(sockets)
        if self._accepting is not None:
            self._accepting.cancel()
