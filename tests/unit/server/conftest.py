"""A federation of toy sites: deltas of two tensors, no model; and a browser."""

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from screened import head

from server.screening import Answer
from shared.adapters.state import AdapterState
from shared.wire.messages import TrainOrder, TrainReply

Reply = Callable[[TrainOrder, str], Answer]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def state(value: float) -> AdapterState:
    return AdapterState({"b": np.full((2, 3), value, dtype=np.float32), "a": np.full(2, -value, dtype=np.float32)})


def answer_with(delta: AdapterState) -> Reply:
    """Return an honest site's answer with this delta."""

    def reply(order: TrainOrder, site_id: str) -> Answer:
        grown = head(order.ledger.entries + 2, f"{site_id} after round {order.round}")
        content = TrainReply(order.run_id, order.round, order.nonce, site_id, delta, grown).to_record()
        return Answer(site_id, content, None, 100, 50)

    return reply


class ToyFleet:
    """Sites that answer by a function each; a function may give several answers, or none."""

    def __init__(self, sites: Mapping[str, Callable[[TrainOrder, str], Answer | list[Answer]]]) -> None:
        self.sites, self.orders = dict(sites), list[Mapping[str, TrainOrder]]()

    def connected(self) -> tuple[str, ...]:
        return tuple(self.sites)

    def ask(self, orders: Mapping[str, TrainOrder], deadline: float) -> Iterator[Answer]:
        assert deadline > 0
        self.orders.append(orders)
        for site_id, order in orders.items():
            answers = self.sites[site_id](order, site_id)
            yield from answers if isinstance(answers, list) else [answers]


@pytest.fixture
def toy_state() -> Callable[[float], AdapterState]:
    return state


@pytest.fixture
def honest() -> Callable[[AdapterState], Reply]:
    return answer_with


@pytest.fixture
def toy_fleet() -> type[ToyFleet]:
    return ToyFleet


class Browser:
    """One tab, spoken to by the DevTools protocol."""

    def __init__(self, port: int) -> None:
        pages = httpx.get(f"http://127.0.0.1:{port}/json").json()
        from websockets.sync.client import connect

        self._socket: Any = connect(
            next(page for page in pages if page["type"] == "page")["webSocketDebuggerUrl"], max_size=None
        )
        self._numbers = itertools.count(1)

    def call(self, method: str, **given: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": given}))
        while True:
            answer = json.loads(self._socket.recv(timeout=20))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def value(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression)["result"].get("value")

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                **({"text": key} if len(key) == 1 and kind == "keyDown" else {}),
            )

    def wait(self, expression: str) -> None:
        for _ in range(200):
            if self.value(expression):
                return
            time.sleep(0.02)
        raise AssertionError(f"never true: {expression}; {self.value('document.body.innerText')}")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """Start a headless Chromium; skip the test if there is none."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    pytest.importorskip("websockets.sync.client", reason="needs websockets")
    profile = tmp_path / "profile"
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "--window-size=1100,800", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1000):
            if (profile / "DevToolsActivePort").exists() and (profile / "DevToolsActivePort").read_text().count("\n"):
                break
            time.sleep(0.02)
        tab = Browser(int((profile / "DevToolsActivePort").read_text().splitlines()[0]))
        yield tab
        tab.close()
    finally:
        process.kill()
        process.wait()
