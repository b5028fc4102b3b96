"""Requests for messages that are held: an order leaves at once, and nobody but the newest session of a site takes it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.network import held_requests as module
from server.network.held_requests import ACTIVATE, PULL, Holder

KEY = b"key of north"


class Flower:
    """Flower with a queue of messages; each request of a site must come whole, also the second time."""

    def __init__(self, status: int = 200) -> None:
        self.messages, self.asked, self.status = list[bytes](), list[tuple[str, bytes]](), status

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append((scope["path"], (await receive())["body"]))
        message = self.messages.pop(0) if self.messages and scope["path"] == PULL else b""
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": message})


class Request:
    """One request of a site, as the web server hands it on."""

    def __init__(self, holder: Holder, path: str = PULL, body: bytes = b"who") -> None:
        self.gone, self.events = asyncio.Event(), list[dict[str, Any]]()
        self._parts = [{"type": "http.request", "body": body}]
        scope = {"type": "http", "path": path}
        self.task = asyncio.ensure_future(holder.forward(KEY, scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self._parts:
            await self.gone.wait()
        return self._parts.pop() if self._parts else {"type": "http.disconnect"}

    async def _send(self, event: dict[str, Any]) -> None:
        self.events.append(event)

    async def answer(self) -> bytes | None:
        await self.task
        return b"".join(event.get("body", b"") for event in self.events) if self.events else None


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOLD", 30.0)


def play(scene: Callable[[Holder, Flower], Awaitable[None]], status: int = 200) -> Flower:
    flower = Flower(status)
    asyncio.run(asyncio.wait_for(scene(Holder(flower), flower), 20))
    return flower


async def asked(flower: Flower, times: int) -> None:
    while len(flower.asked) < times:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)


def test_a_message_leaves_as_soon_as_it_comes() -> None:
    async def scene(holder: Holder, flower: Flower) -> None:
        request = Request(holder)
        await asked(flower, 1)
        assert not request.task.done()
        flower.messages.append(b"order")
        threading.Thread(target=holder.wake, args=[KEY]).start()
        assert await request.answer() == b"order"

    assert play(scene).asked == [(PULL, b"who"), (PULL, b"who")]


def test_a_message_that_is_there_already_is_not_waited_for() -> None:
    async def scene(holder: Holder, flower: Flower) -> None:
        flower.messages.append(b"order")
        assert await Request(holder).answer() == b"order"

    assert len(play(scene).asked) == 1


def test_a_request_without_a_message_is_answered_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOLD", 0.02)

    async def scene(holder: Holder, flower: Flower) -> None:
        assert await Request(holder).answer() == b""

    assert len(play(scene).asked) == 1


def test_a_request_that_flower_refuses_is_never_held() -> None:
    async def scene(holder: Holder, flower: Flower) -> None:
        assert await Request(holder).answer() == b""

    assert len(play(scene, 401).asked) == 1


def test_a_site_that_has_gone_takes_no_message() -> None:
    async def scene(holder: Holder, flower: Flower) -> None:
        request = Request(holder)
        await asked(flower, 1)
        request.gone.set()
        assert await request.answer() is None
        flower.messages.append(b"order")
        holder.wake(KEY)
        assert await Request(holder).answer() == b"order"

    assert len(play(scene).asked) == 2


@pytest.mark.parametrize("path", [PULL, ACTIVATE])
def test_a_new_session_ends_the_held_request_of_the_old_one(path: str) -> None:
    async def scene(holder: Holder, flower: Flower) -> None:
        old = Request(holder)
        await asked(flower, 1)
        new = Request(holder, path)
        assert await old.answer() is None
        holder.close()
        assert await new.answer() == b""

    assert len(play(scene).asked) == 2


def test_a_stranger_cannot_end_a_held_request() -> None:
    async def scene(holder: Holder, flower: Flower) -> None:
        held = Request(holder)
        await asked(flower, 1)
        flower.status = 401
        await Request(holder, ACTIVATE).answer()
        await Request(holder).answer()
        assert not held.task.done()
        holder.close()
        await held.task

    play(scene)


def test_a_server_that_ends_answers_all_and_holds_no_more() -> None:
    async def scene(holder: Holder, flower: Flower) -> None:
        held = Request(holder)
        await asked(flower, 1)
        holder.close()
        assert await held.answer() == b""
        assert await Request(holder).answer() == b""

    play(scene)
