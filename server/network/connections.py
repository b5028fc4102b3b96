"""The connections to the public port: who may hold how many, and for how long without having proved who they are.

A connection is vouched for when a request on it had the right signature. All others are cheap to open for anybody, so they
are few and short; where there are too many, the oldest one makes room for the newest.
"""

import asyncio
import contextlib
import errno
import resource
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

HANDSHAKE = 5.0  # seconds in which TLS must be agreed on
FIRST = 10.0  # seconds in which a connection must be vouched for
IDLE = 70.0  # seconds that a vouched connection may be without a request
UNVOUCHED, UNVOUCHED_EACH = 256, 64  # connections that nobody vouches for: in all, and of one address
OF_A_KEY = 16  # vouched connections of one key; a site has at most 6
SWEEP = 1.0  # seconds between looks at the clock
PAUSE = 0.5  # seconds without new connections when the system has no file left for one
FILES = 65_536  # files that the process asks the system for


@dataclass(eq=False)
class _Connection:
    """A connection, from before TLS until its end."""

    host: str
    peer: Any
    opened: float
    key: bytes | None = None
    task: "asyncio.Task[None] | None" = None
    transport: asyncio.Transport | None = None
    protocol: Any = None
    idle_since: float = 0.0

    def close(self) -> None:
        """End the connection without waiting for the other side."""
        if self.transport is not None:
            self.transport.abort()
        elif self.task is not None:
            self.task.cancel()


@dataclass
class Doorkeeper:
    """Accepts connections, and closes those that are too many or too slow.

    Parameters
    ----------
    protocol
        Makes the protocol of a connection, which speaks HTTP.
    tls
        TLS of the port, or None.
    """

    protocol: Callable[[], Any]
    tls: ssl.SSLContext | None
    clock: Callable[[], float] = time.monotonic
    _open: dict[Any, _Connection] = field(default_factory=dict)

    def vouch(self, peer: Any, key: bytes) -> None:
        """Take a connection for one of the owner of a key, because a request on it had the right signature."""
        found = self._open.get(peer)
        if found is None or found.key is not None:
            return
        found.key = key
        own = [each for each in self._open.values() if each.key == key]
        if len(own) > OF_A_KEY:
            min(own, key=lambda each: each.opened).close()

    async def serve(self, port: socket.socket) -> None:
        """Accept connections until cancelled; then close them all."""
        loop = asyncio.get_running_loop()
        port.setblocking(False)
        sweeping = asyncio.create_task(self._sweep())
        try:
            while True:
                try:
                    connection, peer = await loop.sock_accept(port)
                except OSError as error:
                    # No file is left, or the other side has gone. Nothing is logged, or outsiders could fill the disk.
                    await asyncio.sleep(PAUSE if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM) else 0)
                    continue
                self._let_in(connection, peer)
        finally:
            sweeping.cancel()
            for each in list(self._open.values()):
                each.close()

    def _let_in(self, connection: socket.socket, peer: Any) -> None:
        """Begin with a connection; the oldest that nobody vouches for makes room."""
        host = str(peer[0])
        strangers = [each for each in self._open.values() if each.key is None]
        of_host = [each for each in strangers if each.host == host]
        if len(of_host) >= UNVOUCHED_EACH:
            of_host[0].close()
        elif len(strangers) >= UNVOUCHED:
            strangers[0].close()
        found = _Connection(host, peer[:2], self.clock())
        self._open[found.peer] = found
        found.task = asyncio.get_running_loop().create_task(self._attend(connection, found))

    async def _attend(self, connection: socket.socket, found: _Connection) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        try:
            found.protocol = _noting_its_end(self.protocol(), ended)
            limit = {"ssl_handshake_timeout": HANDSHAKE} if self.tls else {}
            found.transport, _ = await loop.connect_accepted_socket(
                lambda: found.protocol, connection, ssl=self.tls, **limit
            )
            await ended.wait()
        except (OSError, asyncio.CancelledError):  # no TLS, or the connection was closed meanwhile
            connection.close()
        finally:
            if self._open.get(found.peer) is found:
                del self._open[found.peer]

    async def _sweep(self) -> None:
        """Close connections that nobody vouches for, and idle ones."""
        while True:
            await asyncio.sleep(SWEEP)
            now = self.clock()
            for each in list(self._open.values()):
                if _is_busy(each.protocol):
                    each.idle_since = now
                limit = each.opened + FIRST if each.key is None else max(each.idle_since, each.opened) + IDLE
                if now > limit:
                    each.close()


def more_files() -> None:
    """Ask the system for as many open files as it allows, so that no shell's low default limits a server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _noting_its_end(protocol: Any, ended: asyncio.Event) -> Any:
    """Return the protocol; ``ended`` is set when its connection is lost."""
    lost = protocol.connection_lost

    def connection_lost(error: Exception | None) -> None:
        ended.set()
        lost(error)

    protocol.connection_lost = connection_lost
    return protocol


def _is_busy(protocol: Any) -> bool:
    """Return whether a request is being answered."""
    cycle = getattr(protocol, "cycle", None)
    return cycle is not None and not cycle.response_complete
