import asyncio
import base64
from typing import Any

import pytest

from server.network.request_filter import LARGEST, RequestFilter

KEY = b"north's key"


class Behind:
    """Flower, as far as the filter can see."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.bytes = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope["path"])
        while (event := await receive())["type"] != "http.disconnect":
            self.bytes += len(event.get("body", b""))
            if not event.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})


def knock(
    path: str, key: bytes | None = KEY, site: bytes = b"north", method: str = "POST", size: int = 0, pieces: int = 1
) -> tuple[int, Behind]:
    behind = Behind()
    request_filter = RequestFilter(behind)
    request_filter.admit({KEY: "north"})
    headers = [(b"x-hushtune-site", site), (b"content-length", str(size).encode())]
    if key is not None:
        headers.append((b"flwr-public-key", base64.b64encode(key)))
    statuses: list[int] = []
    bodies = [{"type": "http.request", "body": b"x" * (2**20), "more_body": i < pieces - 1} for i in range(pieces)]

    async def receive() -> dict[str, Any]:
        return bodies.pop(0) if bodies else {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        if "status" in event:
            statuses.append(event["status"])

    asyncio.run(request_filter({"type": "http", "path": path, "method": method, "headers": headers}, receive, send))
    return statuses[0], behind


def test_an_admitted_site_reaches_the_fleet_api() -> None:
    status, behind = knock("/v1/fleet/push-messages")
    assert (status, behind.seen) == (200, ["/v1/fleet/push-messages"])


@pytest.mark.parametrize(
    "path",
    [
        "/v1/control/start-run",
        "/v1/runtime/acquire-task",
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
    status, behind = knock(path)
    assert (status, behind.seen) == (404, [])


def test_other_methods_are_not_there() -> None:
    assert knock("/v1/fleet/pull-messages", method="GET")[0] == 404


@pytest.mark.parametrize(
    ("key", "site", "status"),
    [(b"a stranger's", b"north", 401), (None, b"north", 401), (KEY, b"south", 403), (KEY, b"", 403)],
)
def test_keys_are_known_and_each_speaks_for_its_own_site(key: bytes | None, site: bytes, status: int) -> None:
    found, behind = knock("/v1/fleet/pull-messages", key, site)
    assert (found, behind.seen) == (status, [])


def test_a_request_that_says_it_is_too_large_is_not_read() -> None:
    status, behind = knock("/v1/fleet/push-object", size=LARGEST + 1)
    assert (status, behind.bytes) == (413, 0)


def test_a_request_that_grows_too_large_is_cut_off() -> None:
    _, behind = knock("/v1/fleet/push-object", pieces=64)
    assert behind.bytes <= LARGEST
