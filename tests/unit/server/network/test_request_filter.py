"""The filter on the public port: what reaches the Fleet API, and that nothing of a body is read before its signature."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest

from server.network.request_filter import AT_ONCE, BUSY, CLOCK, REPLAYED, RequestFilter
from shared.identity.keys import new_key
from shared.identity.request_signature import KEY, NONCE, SITE, TIME, WINDOW, public_bytes, signed_headers
from shared.wire.parts import PART, SMALL

NORTH, SOUTH = new_key(), new_key()
SITES = {public_bytes(NORTH.public_key()): "north", public_bytes(SOUTH.public_key()): "south"}
PULL, PUSH = "/v1/fleet/pull-messages", "/v1/fleet/push-object"
Headers = list[tuple[bytes, bytes]]


class Behind:
    """The Fleet API, as far as the filter can see."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append((scope["path"], (await receive())["body"], scope["hushtune.key"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"yes"})


class Gate:
    """A filter that admits north and south, and what came of the requests to it."""

    def __init__(self) -> None:
        self.behind, self.read, self.vouched = Behind(), 0, list[bytes]()
        self.filter = RequestFilter(self.behind)
        self.filter.vouch = lambda peer, key: self.vouched.append(key)
        self.filter.admit(SITES)

    async def knock(self, path: str, headers: Headers, body: bytes = b"who", method: str = "POST", parts: int = 1) -> int:
        statuses: list[int] = []
        left = [{"type": "http.request", "body": body, "more_body": i > 0} for i in range(parts)]

        async def receive() -> dict[str, Any]:
            self.read += len(body)
            return left.pop() if left else await asyncio.Future()

        async def send(event: Any) -> None:
            statuses.append(event.get("status"))

        scope = {"type": "http", "path": path, "method": method, "headers": headers, "client": ("127.0.0.1", 1), "state": {}}
        await self.filter(scope, receive, send)
        return statuses[0]

    def now(self, *args: Any, **given: Any) -> int:
        return asyncio.run(self.knock(*args, **given))


def headers(
    path: str = PULL,
    key: Any = NORTH,
    site: str = "north",
    body: bytes = b"who",
    size: int | None = None,
    other: Mapping[str, str] | None = None,
) -> Headers:
    found = signed_headers(key, site, "POST", path, body) | dict(other or {})
    sized = len(body) if size is None else size
    return [(name.encode(), value.encode()) for name, value in {"content-length": str(sized), **found}.items()]


def test_a_signed_request_reaches_the_fleet_api_with_its_body_and_its_key() -> None:
    gate = Gate()
    assert gate.now("/v1/fleet/push-messages", headers("/v1/fleet/push-messages")) == 200
    assert gate.behind.seen == [("/v1/fleet/push-messages", b"who", public_bytes(NORTH.public_key()))]
    assert gate.vouched == [public_bytes(NORTH.public_key())]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/control/start-run",
        "/v1/runtime/acquire-task",
        "/v1/fleet/register-node",
        "/v1/fleet/unregister-node",
        "/v1/fleet/get-fab",
        "/v1/fleet/get-run",
        "/docs",
        "/openapi.json",
        "/health",
        "/",
        "/v1/fleet/",
        "/v1/fleet/../control/start-run",
        "/v1/fleet//v1/control/start-run",
        "/v1/fleet/%2e%2e/control",
        "/V1/FLEET/pull-messages",
        "/v1/fleet/pull-messages/x",
    ],
)
def test_nothing_else_is_there(path: str) -> None:
    gate = Gate()
    assert (gate.now(path, headers(path)), gate.behind.seen) == (404, [])


def test_other_methods_are_not_there() -> None:
    assert Gate().now(PULL, headers(), method="GET") == 404


@pytest.mark.parametrize(
    ("key", "site", "status"), [(new_key(), "north", 401), (NORTH, "south", 403), (NORTH, "", 403), (SOUTH, "south", 200)]
)
def test_keys_are_known_and_each_speaks_for_its_own_site(key: Any, site: str, status: int) -> None:
    gate = Gate()
    path = "/v1/fleet/send-node-heartbeat"
    assert gate.now(path, headers(path, key=key, site=site)) == status
    assert bool(gate.behind.seen) == (status == 200)


@pytest.mark.parametrize("name", [KEY, SITE, NONCE, TIME, "content-length", "content-type"])
@pytest.mark.parametrize("first", [True, False])
def test_a_doubled_header_is_refused_whichever_of_the_two_is_right(name: str, first: bool) -> None:
    other = (name.encode(), dict(headers(key=SOUTH, site="south")).get(name.encode(), b"x"))
    given = [(b"content-type", b"y"), *headers()]
    gate = Gate()
    assert gate.now(PULL, [other, *given] if first else [*given, other]) == 400
    assert not gate.behind.seen


def test_a_signature_is_of_one_method_path_site_body_and_time() -> None:
    for given, path, body in [
        (headers("/v1/fleet/activate-node"), PULL, b"who"),
        (headers(other={TIME: "1700000000.000"}), PULL, b"who"),
        (headers(other={NONCE: "0" * 32}), PULL, b"who"),
        (headers(other={SITE: "south"}), PULL, b"who"),
        (headers(other={KEY: dict(headers(key=SOUTH))[KEY.encode()].decode()}), PULL, b"who"),
        (headers(), PULL, b"me!"),
    ]:
        gate = Gate()
        assert gate.now(path, given, body=body) in (400, 401, 403, CLOCK)
        assert not gate.behind.seen


def test_the_body_of_an_unsigned_request_is_not_read() -> None:
    gate = Gate()
    forged = headers(PUSH, body=b"x" * 1000, other={NONCE: "1" * 32})
    assert gate.now(PUSH, forged, body=b"x" * 1000) == 401
    assert (gate.read, gate.vouched) == (0, [])


def test_a_request_is_accepted_once_and_only_at_its_time() -> None:
    gate, given = Gate(), headers("/v1/fleet/send-node-heartbeat")
    assert [gate.now("/v1/fleet/send-node-heartbeat", given) for _ in range(2)] == [200, REPLAYED]
    gate.filter = RequestFilter(gate.behind, clock=lambda: time.time() + WINDOW + 1)
    gate.filter.admit(SITES)
    assert gate.now(PULL, headers()) == CLOCK


@pytest.mark.parametrize(("path", "most"), [(PUSH, PART), (PULL, SMALL)])
def test_a_request_that_says_it_is_too_large_is_not_read(path: str, most: int) -> None:
    gate = Gate()
    assert (gate.now(path, headers(path, size=most + 1)), gate.read) == (413, 0)


def test_a_request_that_grows_too_large_is_cut_off() -> None:
    gate, body = Gate(), bytes(2**20)
    assert gate.now(PUSH, headers(PUSH, body=body), body=body, parts=64) == 413
    assert gate.read <= PART + 2**20


def test_no_key_holds_more_than_a_few_bodies() -> None:
    gate = Gate()

    async def crowd() -> int:
        slow = [asyncio.ensure_future(gate.knock(PUSH, headers(PUSH), parts=0)) for _ in range(AT_ONCE)]
        await asyncio.sleep(0.05)
        found = await gate.knock(PUSH, headers(PUSH))
        for each in slow:
            each.cancel()
        return found

    assert asyncio.run(crowd()) == BUSY


def test_a_key_that_is_not_admitted_any_more_is_refused_at_once() -> None:
    gate = Gate()
    gate.filter.admit({key: site for key, site in SITES.items() if site == "south"})
    assert gate.now(PULL, headers()) == 401
