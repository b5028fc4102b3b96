"""The live page: what its stream tells and when it ends, who is let in, and how it looks in a real browser."""

import base64
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from made_round import made_round

from server import live_page
from server.live_page import Live, shown
from server.rounds import Round
from shared.errors import ConfigError
from shared.metrics.bootstrap import Interval
from shared.ops.status import ServerStatus, SiteSeen


def done(number: int, accuracy: float) -> Round:
    return made_round(
        number,
        metrics={"accuracy": Interval(accuracy, accuracy - 0.02, accuracy + 0.02)},
        accepted=("north",),
        released={"north": {"records": 91.5}},
        missing=("south",),
        stages={"train": 3.25},
    )


def status(stage: Any, committed: int) -> ServerStatus:
    sites = (
        SiteSeen(site_id="north", connected=True, last_round=1, outcome="accepted"),
        SiteSeen(site_id="south", connected=False),
    )
    return ServerStatus(
        run="wards", run_id="r1", stage=stage, round=committed + 1, rounds=3, committed=committed, quorum=1, sites=sites
    )  # fmt: skip


@pytest.fixture
def live() -> Iterator[Live]:
    with Live("127.0.0.1:0") as page:
        yield page


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    yield from (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))


def test_each_change_is_pushed_once_and_the_last_one_too(live: Live) -> None:
    live.show(status("asking", 0), [])
    with httpx.stream("GET", live.url + "events", timeout=20) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        told = events(stream.iter_lines())
        assert next(told)["line"] == "Round 1 of 3, 0 committed: sites are training"
        live.show(status("asking", 0), [])  # no news
        live.show(status("between_rounds", 1), [done(1, 0.7)])
        second = next(told)
        assert second["run"] == "wards"
        assert second["line"] == "Round 2 of 3, 1 committed: between rounds"
        assert "70.0\N{NO-BREAK SPACE}% (68.0 to 72.0)" in second["body"]
        assert "1 of 2" in second["body"]
        live.show(status("finished", 3), [done(1, 0.7)])
        live.news.end()
        assert [each["line"].split(": ")[1] for each in told] == ["finished"]


def test_a_browser_without_scripts_sees_the_same_and_asks_again(live: Live) -> None:
    assert "Waiting for the run" in httpx.get(live.url).text
    live.show(status("between_rounds", 2), [done(1, 0.7), done(2, 0.8)])
    page = httpx.get(live.url).text
    assert '<noscript><meta http-equiv="refresh"' in page
    for words in (
        '<h1 id="run">wards</h1>',
        "80.0\N{NO-BREAK SPACE}% (78.0 to 82.0)",
        "66 % of the rounds",
        "about 3.2 s left",
        "takes the median time",
    ):
        assert words in page
    assert page.count("<circle") == 2
    assert "style=" not in page  # the page's policy refuses styles inside tags


def test_there_is_no_guess_of_the_time_left_before_the_first_round_and_after_the_last(live: Live) -> None:
    live.show(status("asking", 0), [])
    assert "takes the median time" not in httpx.get(live.url).text
    live.show(status("finished", 3), [done(n, 0.7) for n in (1, 2, 3)])
    assert "takes the median time" not in httpx.get(live.url).text
    assert "100 % of the rounds" in httpx.get(live.url).text


def test_the_page_tells_nothing_that_the_report_does_not(live: Live) -> None:
    live.show(status("asking", 1), [done(1, 0.7)])
    with httpx.stream("GET", live.url + "events", timeout=20) as stream:
        text = next(line for line in stream.iter_lines() if line)
    assert "91.5" not in text  # what a site released is in the report, beside its event
    assert "adapter" not in text


def test_only_who_knows_the_path_gets_in_and_nothing_is_loaded(live: Live) -> None:
    root = f"http://127.0.0.1:{live.port}/"
    assert httpx.get(root).status_code == 404
    assert httpx.get(root + "events").status_code == 404
    page = httpx.get(live.url)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in page.headers["Content-Security-Policy"]
    assert "src=" not in page.text
    assert "href=" not in page.text
    for answer in (page, httpx.get(root), httpx.post(live.url)):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "Server" not in answer.headers  # versions help whoever looks for a hole


def test_the_page_listens_on_its_loopback_address_alone(live: Live) -> None:
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", live.port), 1):
        pass


def test_a_stream_without_news_shows_that_it_lives_and_ends_with_the_run(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_page, "QUIET", 0.05)
    with httpx.stream("GET", live.url + "events", timeout=20) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": here"
        live.news.end()
        assert not [line for line in lines if line.startswith("data")]


def test_a_browser_that_left_is_forgotten(live: Live) -> None:
    with httpx.stream("GET", live.url + "events", timeout=20) as stream:
        live.show(status("asking", 0), [])
        next(stream.iter_lines())
    end = time.monotonic() + 10
    while live.news._waiting and time.monotonic() < end:
        time.sleep(0.02)
    assert not live.news._waiting
    live.show(status("asking", 1), [])


def test_the_end_of_a_run_ends_its_streams_and_frees_the_port() -> None:
    with Live("127.0.0.1:0") as page:
        port = page.port
        opened = httpx.Client().stream("GET", page.url + "events", timeout=20)
        stream = opened.__enter__()
        started = time.monotonic()
    assert time.monotonic() - started < 5
    assert not [line for line in stream.iter_lines() if line.startswith("data")]
    with Live(f"127.0.0.1:{port}") as again:
        assert httpx.get(again.url).status_code == 200


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:8446", "[::1]:0", "nonsense"])
def test_an_address_that_others_reach_is_refused(address: str) -> None:
    with pytest.raises(ConfigError):
        Live(address)


def test_the_operator_is_told_where_it_is_and_nothing_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(None) as none:
        assert none is None
    with shown("127.0.0.1:0") as page:
        assert page is not None
        assert page.url in capsys.readouterr().err


@pytest.mark.faults
def test_a_browser_sees_the_rounds_come_in(browser: Any, live: Live, tmp_path: Path) -> None:
    live.show(status("asking", 0), [])
    browser.call("Page.enable")
    browser.call("Page.navigate", url=live.url)
    browser.wait("document.getElementById('run') && document.getElementById('run').textContent === 'wards'")
    rows = "document.querySelectorAll('section:first-of-type tbody tr').length"
    assert browser.value(rows) == 0
    for number in (1, 2):
        live.show(status("between_rounds", number), [done(each, 0.6 + 0.05 * each) for each in range(1, number + 1)])
        browser.wait(f"{rows} === {number}")
    cell = "document.querySelector('section:first-of-type tbody tr:last-child td').textContent"
    assert browser.value(cell) == "70.0\N{NO-BREAK SPACE}% (68.0 to 72.0)"
    assert "2 committed" in browser.value("document.getElementById('stage').textContent")
    picture = base64.b64decode(browser.call("Page.captureScreenshot", format="png")["data"])
    (tmp_path / "live.png").write_bytes(picture)
    assert len(picture) > 5000
