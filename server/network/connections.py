"""Limit the connections to the public port: how many each address may hold, and for how long without a signed request.

A connection is vouched for when a request on it had the right signature. All others are cheap to open for anybody, so they
are few and short. Their number leaves room for all sites to come at once from one address, as behind one router.

If there are too many, one of the address with the most connections, drawn at random, is closed for the newest. So a flood
harms only its own address, and an outsider at a site's address must open connections much faster than the site proves its
key. If instead the oldest were closed, the outsider could end each connection of the site in time.
"""

import asyncio
import contextlib
import errno
import ipaddress
import resource
import secrets
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

HANDSHAKE = 5.0  # seconds in which TLS must be agreed on
FIRST = 10.0  # seconds in which a connection must be vouched for
IDLE = 70.0  # seconds that a vouched connection may be without a request
UNVOUCHED, UNVOUCHED_EACH = 256, 64  # connections that nobody vouches for: in all, and of one address
OF_A_SITE = 2  # by which both limits grow with each admitted site, because a site opens two connections at once
OF_A_KEY = 16  # vouched connections of one key; a site has at most 6
SWEEP = 1.0  # seconds between looks at the clock
PAUSE = 0.5  # seconds without new connections when the system has no file left for one
FILES = 65_536  # files that the process asks the system for


@dataclass(eq=False)
class _Connection:
    """A connection, from before TLS until its end."""

    origin: str
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
    sites
        Returns the number of sites that are admitted now.
    """

    protocol: Callable[[], Any]
    tls: ssl.SSLContext | None
    sites: Callable[[], int]
    clock: Callable[[], float] = time.monotonic
    _open: dict[Any, _Connection] = field(default_factory=dict)

    def vouch(self, peer: Any, key: bytes) -> None:
        """Record that a connection belongs to the owner of a key, because a request on it had the right signature."""
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
        """Start to serve a connection; if there are too many, close one that nobody vouches for."""
        origin, more = origin_of(peer[0]), OF_A_SITE * self.sites()
        strangers = [each for each in self._open.values() if each.key is None]
        of_origins = Counter(each.origin for each in strangers)
        if of_origins[origin] >= UNVOUCHED_EACH + more:
            self._close_one([each for each in strangers if each.origin == origin])
        elif len(strangers) >= UNVOUCHED + more:
            most = max(of_origins.values())
            self._close_one([each for each in strangers if of_origins[each.origin] == most])
        found = _Connection(origin, peer[:2], self.clock())
        self._open[found.peer] = found
        found.task = asyncio.get_running_loop().create_task(self._attend(connection, found))
        # Not in the task itself, which never runs if the connection is closed at once.
        found.task.add_done_callback(lambda _: self._forget(connection, found))

    def _forget(self, connection: socket.socket, found: _Connection) -> None:
        connection.close()
        if self._open.get(found.peer) is found:
            del self._open[found.peer]

    def _close_one(self, candidates: Sequence[_Connection]) -> None:
        """Close one, and forget it at once, so that it is not counted until its end is noticed."""
        found = secrets.choice(candidates)
        del self._open[found.peer]
        found.close()

    async def _attend(self, connection: socket.socket, found: _Connection) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        found.protocol = _noting_its_end(self.protocol(), ended)
        limit = {"ssl_handshake_timeout": HANDSHAKE} if self.tls else {}
        with contextlib.suppress(OSError, asyncio.CancelledError):  # no TLS, or the connection was closed meanwhile
            found.transport, _ = await loop.connect_accepted_socket(
                lambda: found.protocol, connection, ssl=self.tls, **limit
            )
            await ended.wait()

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


def origin_of(host: str) -> str:
    """Return whose connections are counted together: an IPv4 address, or a network of IPv6, of which one user has 2^64."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return host
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


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
