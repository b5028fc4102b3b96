"""The page in a real browser, by keyboard alone; skipped where there is no Chromium."""

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.review.score import score
from server.review.serve import Server
from server.review.sheet import read_key, read_sheet

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
connect = pytest.importorskip("websockets.sync.client", reason="needs websockets").connect
pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]


class Browser:
    """One tab, spoken to by the DevTools protocol."""

    def __init__(self, port: int) -> None:
        pages = httpx.get(f"http://127.0.0.1:{port}/json").json()
        self._socket = connect(next(page for page in pages if page["type"] == "page")["webSocketDebuggerUrl"], max_size=None)
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


def test_ten_items_are_rated_by_keyboard_with_a_reload_in_the_middle_and_scored(
    browser: Browser, sheet: Path, serve: Callable[[str], Server], tmp_path: Path
) -> None:
    """A rater who always finds the tuned answer better, but for the last item, which is changed to a tie and back."""
    server = serve("ann")
    tuned = read_key(sheet / "key.json", sheet).tuned
    order = [item.id for item in read_sheet(sheet)]
    browser.call("Page.enable")
    browser.call("Page.navigate", url=server.address)
    for place, item in enumerate(order):
        browser.wait(f"document.getElementById('where').textContent.startsWith('Item {place + 1} of 10')")
        if place == 5:
            browser.call("Page.reload")
            browser.wait("document.getElementById('where').textContent === 'Item 6 of 10; 5 rated'")
            picture = base64.b64decode(browser.call("Page.captureScreenshot", format="png")["data"])
            (tmp_path / "page.png").write_bytes(picture)
            assert len(picture) > 5000
        browser.press({"a": "ArrowLeft", "b": "ArrowRight"}[tuned[item]] if place % 2 else tuned[item])
        browser.wait(f"document.getElementById('where').textContent.includes('{place + 1} ')")
    browser.wait("!document.getElementById('done').hidden")
    browser.press("u")
    browser.wait("document.getElementById('where').textContent.startsWith('Item 10')")
    browser.press("t")
    browser.wait("!document.getElementById('done').hidden")
    found = score(sheet, None)
    assert found["raters"] == [{"rater": "ann", "tuned": 9, "tie": 1, "base": 0}]
    assert found["win_rate"]["value"] == pytest.approx(0.95)
    assert browser.value("performance.getEntriesByType('resource').every((e) => e.name.startsWith(location.origin))")
