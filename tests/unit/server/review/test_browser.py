"""The page in a real browser, by keyboard alone; skipped where there is no Chromium."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.review.score import score
from server.review.serve import RatingServer
from server.review.sheet import key_of, read_key, read_sheet

pytestmark = pytest.mark.faults
Serve = Callable[[str], RatingServer]


def test_ten_items_are_rated_by_keyboard_with_a_reload_in_the_middle_and_scored(
    browser: Any, sheet: Path, serve: Serve, tmp_path: Path
) -> None:
    """A rater who always finds the tuned answer better, but for the last item, which is changed to a tie and back."""
    server = serve("ann")
    tuned = read_key(key_of(sheet), sheet).tuned
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
