"""The doorkeeper of the public port: strangers hold few connections for a short time, and never lock a site out."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.network import connections as module
from server.network.connections import Doorkeeper


class Protocol(asyncio.Protocol):
    """A connection without a request, or with one that is being answered."""

    cycle: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


def play(scene: Callable[[Doorkeeper, Callable[[], Awaitable[socket.socket]]], Awaitable[None]]) -> None:
    async def run() -> None:
        port = socket.create_server(("127.0.0.1", 0))
        keeper = Doorkeeper(Protocol, None)
        serving = asyncio.create_task(keeper.serve(port))
        opened = list[socket.socket]()

        async def knock() -> socket.socket:
            found = socket.socket()
            found.setblocking(False)
            await asyncio.get_running_loop().sock_connect(found, port.getsockname())
            opened.append(found)
            await asyncio.sleep(0.01)
            return found

        try:
            await asyncio.wait_for(scene(keeper, knock), 20)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            for each in (*opened, port):
                each.close()

    asyncio.run(run())


async def is_open(found: socket.socket, seconds: float = 0.05) -> bool:
    """Return whether a connection is open; nobody sends anything on it, so a read ends only with it."""
    try:
        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(found, 1), seconds)
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    return False


def test_strangers_of_one_address_make_room_for_the_newest_and_never_for_a_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNVOUCHED_EACH", 3)

    async def scene(keeper: Doorkeeper, knock: Callable[[], Awaitable[socket.socket]]) -> None:
        site = await knock()
        keeper.vouch(site.getsockname(), b"north")
        strangers = [await knock() for _ in range(6)]
        assert [await is_open(each) for each in strangers] == [False] * 3 + [True] * 3
        assert await is_open(site)

    play(scene)


def test_a_connection_that_nobody_vouches_for_is_closed_soon_and_an_idle_one_later(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FIRST": 0.1, "IDLE": 0.4, "SWEEP": 0.02}.items():
        monkeypatch.setattr(module, name, value)

    async def scene(keeper: Doorkeeper, knock: Callable[[], Awaitable[socket.socket]]) -> None:
        stranger, site = await knock(), await knock()
        keeper.vouch(site.getsockname(), b"north")
        assert not await is_open(stranger, 1.0)
        assert await is_open(site)
        assert not await is_open(site, 2.0)

    play(scene)


def test_a_connection_on_which_a_request_is_answered_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"IDLE": 0.1, "SWEEP": 0.02}.items():
        monkeypatch.setattr(module, name, value)

    async def scene(keeper: Doorkeeper, knock: Callable[[], Awaitable[socket.socket]]) -> None:
        site = await knock()
        keeper.vouch(site.getsockname(), b"north")
        keeper._open[site.getsockname()].protocol.cycle = type("Busy", (), {"response_complete": False})
        assert await is_open(site, 0.4)

    play(scene)


def test_one_key_holds_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OF_A_KEY", 2)

    async def scene(keeper: Doorkeeper, knock: Callable[[], Awaitable[socket.socket]]) -> None:
        found = [await knock() for _ in range(4)]
        for each in found:
            keeper.vouch(each.getsockname(), b"north")
            await asyncio.sleep(0.01)
        assert [await is_open(each) for each in found] == [False, False, True, True]

    play(scene)


def test_without_files_left_the_server_waits_and_logs_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.02)
    failures = [OSError(24, "Too many open files")] * 3

    async def scene(keeper: Doorkeeper, knock: Callable[[], Awaitable[socket.socket]]) -> None:
        loop = asyncio.get_running_loop()
        accept = loop.sock_accept

        async def failing(port: socket.socket) -> Any:
            if failures:
                raise failures.pop()
            return await accept(port)

        monkeypatch.setattr(loop, "sock_accept", failing)
        await knock()  # ends the wait that began before
        await asyncio.sleep(0.2)
        assert not failures
        assert await is_open(await knock())

    play(scene)
    assert not caplog.records
    assert capfd.readouterr().err == ""
