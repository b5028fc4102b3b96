"""A browser without a screen."""

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


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
