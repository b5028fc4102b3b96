"""The doorkeeper of the public port: strangers hold few connections for a short time, and never lock a site out."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.network import connections as module
from server.network.connections import Doorkeeper, origin_of

Knock = Callable[..., Awaitable[socket.socket]]


class Protocol(asyncio.Protocol):
    """A connection without a request, or with one that is being answered."""

    cycle: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


def play(scene: Callable[[Doorkeeper, Knock], Awaitable[None]], sites: int = 0) -> None:
    async def run() -> None:
        port = socket.create_server(("127.0.0.1", 0))
        keeper = Doorkeeper(Protocol, None, lambda: sites)
        serving = asyncio.create_task(keeper.serve(port))
        opened = list[socket.socket]()

        async def knock(host: str = "127.0.0.1") -> socket.socket:
            found = socket.socket()
            found.setblocking(False)
            found.bind((host, 0))
            await asyncio.get_running_loop().sock_connect(found, port.getsockname())
            opened.append(found)
            await asyncio.sleep(0.005)
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

    async def scene(keeper: Doorkeeper, knock: Knock) -> None:
        site = await knock()
        keeper.vouch(site.getsockname(), b"north")
        strangers = [await knock() for _ in range(6)]
        left = [await is_open(each) for each in strangers]
        assert left[-1]
        assert sum(left) == 3
        assert await is_open(site)

    play(scene)


def test_all_sites_may_come_at_once_from_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UNVOUCHED", "UNVOUCHED_EACH"):
        monkeypatch.setattr(module, name, 3)

    async def scene(_: Doorkeeper, knock: Knock) -> None:
        sites = [await knock() for _ in range(2 * 20)]  # each site connects twice before anybody vouches for it
        outsiders = [await knock() for _ in range(3)]
        assert all(await asyncio.gather(*map(is_open, [*sites, *outsiders])))

    play(scene, sites=20)


def test_an_outsider_behind_the_router_of_a_site_delays_it_and_does_not_lock_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNVOUCHED_EACH", 4)

    async def scene(keeper: Doorkeeper, knock: Knock) -> None:
        for _ in range(60):  # attempts, of which one in three passes, so that all fail with a chance of 1 in 10^10
            site = await knock()
            for _ in range(4):  # as many as may be there: if the oldest went, the site's were always gone by now
                await knock()
            keeper.vouch(site.getsockname(), b"north")
            if await is_open(site, 0.01):
                break
        else:
            pytest.fail("the site was locked out")
        for _ in range(8):
            await knock()
        assert await is_open(site)

    play(scene)


def test_a_crowd_of_one_address_costs_no_other_address_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNVOUCHED", 5)
    monkeypatch.setattr(module, "UNVOUCHED_EACH", 4)

    async def scene(_: Doorkeeper, knock: Knock) -> None:
        site = await knock("127.0.0.2")
        for _ in range(12):
            await knock()
        others = [await knock("127.0.0.3"), await knock("127.0.0.4")]
        assert all(await asyncio.gather(*map(is_open, [site, *others])))

    play(scene)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_addresses_that_one_user_has_count_as_one(host: str, origin: str) -> None:
    assert origin_of(host) == origin


def test_a_connection_that_nobody_vouches_for_is_closed_soon_and_an_idle_one_later(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FIRST": 0.1, "IDLE": 0.4, "SWEEP": 0.02}.items():
        monkeypatch.setattr(module, name, value)

    async def scene(keeper: Doorkeeper, knock: Knock) -> None:
        stranger, site = await knock(), await knock()
        keeper.vouch(site.getsockname(), b"north")
        assert not await is_open(stranger, 1.0)
        assert await is_open(site)
        assert not await is_open(site, 2.0)

    play(scene)


def test_a_connection_on_which_a_request_is_answered_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"IDLE": 0.1, "SWEEP": 0.02}.items():
        monkeypatch.setattr(module, name, value)

    async def scene(keeper: Doorkeeper, knock: Knock) -> None:
        site = await knock()
        keeper.vouch(site.getsockname(), b"north")
        keeper._open[site.getsockname()].protocol.cycle = type("Busy", (), {"response_complete": False})
        assert await is_open(site, 0.4)

    play(scene)


def test_one_key_holds_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OF_A_KEY", 2)

    async def scene(keeper: Doorkeeper, knock: Knock) -> None:
        found = [await knock() for _ in range(4)]
        for each in found:
            keeper.vouch(each.getsockname(), b"north")
            await asyncio.sleep(0.01)
        assert [await is_open(each) for each in found] == [False, False, True, True]

    play(scene)


def test_a_connection_that_has_to_go_before_it_was_attended_to_is_closed_and_forgotten() -> None:
    async def scene(keeper: Doorkeeper, _: Knock) -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        keeper._let_in(ours, ("127.0.0.1", 7))
        keeper._open["127.0.0.1", 7].close()
        assert not await is_open(theirs, 1.0)
        assert not keeper._open
        theirs.close()

    play(scene)


def test_without_files_left_the_server_waits_and_logs_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.02)
    failures = [OSError(24, "Too many open files")] * 3

    async def scene(keeper: Doorkeeper, knock: Knock) -> None:
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
