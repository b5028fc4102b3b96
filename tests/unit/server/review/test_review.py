"""The blind sheet, the page's server by HTTP, and what the ratings come to."""

import json
import re
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixture_types import LearnerOf, Shake
from hypothesis import given, settings
from hypothesis import strategies as st

from server.display import review_tables
from server.report.html import render
from server.review.answers import export_review, pairs_of
from server.review.ratings import Ratings, read_all
from server.review.score import add_to_report, agreement, score, unblinded
from server.review.serve import RatingServer
from server.review.sheet import Key, Pair, export, key_of, read_key, read_sheet
from shared.config.run import RunConfig
from shared.errors import ConfigError, RunError

Serve = Callable[[str], RatingServer]


def token_of(page: str) -> str:
    [token] = re.findall(r'const token = "([^"]+)"', page)
    return str(token)


def visit(server: RatingServer) -> httpx.Client:
    """Return a browser that has the page."""
    client = httpx.Client(base_url=server.address)
    client.headers["X-Token"] = token_of(client.get("/").text)
    return client


def rate_all(sheet: Path, rater: str, prefer: Callable[[int], str]) -> None:
    """Rate each item as ``prefer`` says of the pair's number: tuned, base or tie."""
    key = read_key(key_of(sheet), sheet)
    ratings = Ratings(sheet, rater)
    for item in read_sheet(sheet):
        verdict = prefer(int(item.prompt.split()[1]))
        tuned = key.tuned[item.id]
        ratings.add(item.id, {"tuned": tuned, "base": "ba"["ab".index(tuned)], "tie": "tie"}[verdict])


def test_the_sheet_is_blind_and_only_the_key_tells(sheet: Path) -> None:
    items, key = read_sheet(sheet), read_key(key_of(sheet), sheet)
    assert len(items) == 10
    assert key.identical == 1
    written = json.loads((sheet / "sheet.json").read_text())
    assert set(written) == {"items"}
    assert [path.name for path in sheet.iterdir()] == ["sheet.json"]  # raters get the folder
    assert {name for row in written["items"] for name in row} == {"id", "prompt", "a", "b"}
    for item in items:
        number = item.prompt.split()[1]
        sides = {"a": item.a, "b": item.b}
        assert sides.pop(key.tuned[item.id]) == f"tuned answer {number}"
        assert list(sides.values()) == [f"base answer {number}"]


def test_order_and_sides_are_drawn_anew_each_time(tmp_path: Path) -> None:
    pairs = [Pair(str(n), "x", "y") for n in range(60)]
    made = []
    for name in ("one", "two"):
        export(pairs, tmp_path / name)
        key = read_key(key_of(tmp_path / name), tmp_path / name)
        made.append(([item.prompt for item in read_sheet(tmp_path / name)], list(key.tuned.values())))
        assert 10 < Counter(key.tuned.values())["a"] < 50  # a fair coin misses this once in 10^7
    assert made[0][0] != made[1][0]
    assert made[0][1] != made[1][1]


def test_a_sheet_is_never_written_over_and_never_empty(sheet: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="exists already"):
        export([Pair("p", "x", "y")], sheet)
    with pytest.raises(RunError, match="nothing to rate"):
        export([Pair("p", "x", "x ")], tmp_path / "other")


def test_a_changed_sheet_or_another_key_is_refused(sheet: Path, tmp_path: Path) -> None:
    export([Pair("p", "x", "y")], tmp_path / "other")
    with pytest.raises(RunError, match="another sheet"):
        read_key(key_of(tmp_path / "other"), sheet)
    content = (sheet / "sheet.json").read_text()
    (sheet / "sheet.json").write_text(content.replace("tuned answer 3", "tuned answer three"))
    with pytest.raises(RunError, match="another sheet, or the sheet was changed"):
        score(sheet, None)


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"items": [{"id": "1"}]}'])
def test_a_folder_without_a_sheet_is_refused_in_one_line(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "sheet.json").write_text(content)
    with pytest.raises(RunError, match="no readable sheet") as caught:
        read_sheet(tmp_path)
    assert "\n" not in str(caught.value)


def test_ratings_are_kept_at_once_and_a_mind_can_be_changed(sheet: Path, serve: Serve) -> None:
    client = visit(serve("ann"))
    items = client.get("/state").json()["items"]
    assert set(items[0]) == {"id", "prompt", "a", "b"}
    for item, choice in zip(items[:5], ("a", "b", "tie", "a", "b"), strict=True):
        assert client.post("/rate", json={"item": item["id"], "choice": choice}).status_code == 204
    client.post("/rate", json={"item": items[0]["id"], "choice": "b"})
    resumed = visit(serve("ann"))  # another process later: the ratings are on the disk
    assert resumed.get("/state").json()["ratings"] == {
        item["id"]: choice for item, choice in zip(items[:5], ("b", "b", "tie", "a", "b"), strict=True)
    }
    assert visit(serve("bob")).get("/state").json()["ratings"] == {}


def test_the_page_loads_nothing_and_lets_nobody_else_in(serve: Serve) -> None:
    server = serve("ann")
    assert server.host == "127.0.0.1"
    answer = httpx.get(server.address)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert not re.findall(r'(?:src|href)="|url\(|@import', answer.text)
    port = server.port
    for host in ("evil.example:80", f"evil.example:{port}", "127.0.0.1", "127.0.0.1:1", f"127.0.0.1:{port}.evil"):
        assert httpx.get(server.address, headers={"Host": host}).status_code == 403
    with socket.create_connection((server.host, port), 10) as two_hosts:
        two_hosts.sendall(f"GET {server.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\n\r\n".encode())
        assert two_hosts.recv(20).split()[1] in (b"400", b"403")
    assert httpx.get(server.address, headers={"Host": f"localhost:{server.port}"}).status_code == 200
    assert "form-action 'none'; frame-ancestors 'none'" in policy
    for each in (answer, httpx.get(server.address + "nothing"), httpx.get(server.address, headers={"Host": "evil.example"})):
        assert each.headers["Cache-Control"] == "no-store"
        assert each.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in each.headers["Content-Security-Policy"]
    assert httpx.get(server.address + "state").status_code == 404
    assert httpx.get(server.address + "key.json").status_code == 404
    wrong = {"X-Token": "guess"}
    assert httpx.post(server.address + "rate", json={"item": "0001", "choice": "a"}, headers=wrong).status_code == 403
    assert not server.session.ratings.path.exists()


def test_another_user_of_the_machine_who_does_not_know_the_address_gets_neither_the_items_nor_the_token(
    serve: Serve,
) -> None:
    server = serve("ann")
    root = f"http://127.0.0.1:{server.port}/"
    found = [httpx.get(root + name, follow_redirects=True) for name in ("", "state", server.path.strip("/"))]
    assert [answer.status_code for answer in found] == [404, 404, 404]
    assert len(server.path) > 20
    assert server.path != serve("bob").path


def test_a_rating_of_unknown_length_is_refused(serve: Serve) -> None:
    """So that nobody fills the memory with a request that never ends."""
    server = serve("ann")
    body = b'{"item": "0001", "choice": "a"}'
    assert visit(server).post("/rate", content=iter([body])).status_code == 400
    assert not server.session.ratings.path.exists()
    assert visit(server).post("/rate", content=body).status_code == 204


def test_nothing_is_logged(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    server = serve("ann")
    client = visit(server)
    client.post("/rate", json={"item": "0001", "choice": "a"})
    server.session.ratings.path.write_text("nonsense\n")
    assert client.get("/state").status_code == 500  # not even when it fails
    assert capfd.readouterr() == ("", "")


def test_what_is_no_rating_is_refused_and_not_kept(serve: Serve) -> None:
    server = serve("ann")
    client = visit(server)
    for body in (
        *(b"", b"{", b"[]", b"x" * 2000, b'{"item": "0001"}', b'{"item": "0001", "choice": "c"}'),
        *(b'{"item": "x", "choice": "a"}', b'{"item": [], "choice": "a"}'),
    ):
        assert client.post("/rate", content=body).status_code == 400
    assert not server.session.ratings.path.exists()


def test_a_taken_port_and_a_strange_name_are_refused(sheet: Path, serve: Serve) -> None:
    server = serve("ann")
    with pytest.raises(RunError, match="cannot be opened"):
        RatingServer(server.session, server.port)
    with pytest.raises(RunError, match="lower-case"):
        Ratings(sheet, "../ann")


def test_a_line_cut_short_by_a_crash_does_not_count_and_another_is_refused(sheet: Path) -> None:
    ratings = Ratings(sheet, "ann")
    ratings.add("0001", "a")
    with ratings.path.open("a") as stream:
        stream.write('{"item": "0002", "ch')
    assert ratings.read() == {"0001": "a"}
    ratings.path.write_text("nonsense\n")
    with pytest.raises(RunError, match="line 1: not a rating"):
        ratings.read()


def test_a_rating_after_a_cut_line_is_not_lost(sheet: Path) -> None:
    ratings = Ratings(sheet, "ann")
    ratings.path.write_text('{"item": "0001", "choice": "a"}\n{"item": "0002", "ch')
    ratings.add("0003", "b")
    assert ratings.read() == {"0001": "a", "0003": "b"}


def test_the_score_turns_the_key(sheet: Path) -> None:
    rate_all(sheet, "ann", lambda number: "tuned" if number < 7 else "tie" if number == 7 else "base")
    found = score(sheet, None)
    assert (found["items"], found["rated"], found["identical"]) == (10, 10, 1)
    assert found["raters"] == [{"rater": "ann", "tuned": 7, "tie": 1, "base": 2}]
    assert found["win_rate"]["value"] == pytest.approx(0.75)
    assert found["win_rate"]["low"] < 0.75 < found["win_rate"]["high"]
    assert found["alpha"] is None


def test_raters_count_by_item_and_their_agreement_is_alpha(sheet: Path) -> None:
    rate_all(sheet, "ann", lambda number: "tuned" if number < 6 else "base")
    rate_all(sheet, "bob", lambda number: "tuned" if number < 4 else "base")
    found = score(sheet, None)
    assert found["win_rate"]["value"] == pytest.approx(0.5)
    # By hand: 2 of 10 disagree; values 10 tuned and 10 base: alpha = 1 - 19 * (2 * 2) / (2 * 10 * 10).
    assert found["alpha"] == pytest.approx(1 - 19 * 4 / 200)


def test_alpha_is_that_of_krippendorffs_own_example_with_missing_values() -> None:
    """The nominal example of Krippendorff 2011, Computing Krippendorff's alpha-reliability, section C: 0.743."""
    rows = {
        "A": "1 2 3 3 2 1 4 1 2 . . .",
        "B": "1 2 3 3 2 2 4 1 2 5 . 3",
        "C": ". 3 3 3 2 3 4 2 2 5 1 .",
        "D": "1 2 3 3 2 4 4 1 2 5 1 .",
    }
    verdicts = {r: {str(n): v for n, v in enumerate(line.split()) if v != "."} for r, line in rows.items()}
    assert agreement(verdicts, [str(n) for n in range(12)]) == pytest.approx(0.743, abs=5e-4)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from("123"), st.sampled_from(["a", "b", "tie"])), st.sampled_from("ab"))
def test_each_choice_has_one_meaning(choices: Mapping[str, str], side: str) -> None:
    key = Key("", dict.fromkeys("123", side))
    found = unblinded({"r": choices}, key)["r"]
    mirrored = unblinded({"r": choices}, Key("", dict.fromkeys("123", "ba"["ab".index(side)])))["r"]
    swap = {"tuned": "base", "base": "tuned", "tie": "tie"}
    assert {item: swap[verdict] for item, verdict in found.items()} == mirrored


def test_agreement_is_not_known_without_two_opinions() -> None:
    assert agreement({"a": {"1": "tie"}, "b": {"2": "tie"}}, ["1", "2"]) is None
    assert agreement({"a": {"1": "tie"}, "b": {"1": "tie"}}, ["1"]) is None


def test_no_ratings_or_ratings_of_another_sheet_are_refused(sheet: Path) -> None:
    with pytest.raises(RunError, match="no ratings yet"):
        score(sheet, None)
    Ratings(sheet, "ann").add("9999", "a")
    with pytest.raises(RunError, match="rates item 9999"):
        read_all(sheet, read_sheet(sheet))


def test_a_review_enters_a_runs_report(sheet: Path, tmp_path: Path) -> None:
    rate_all(sheet, "ann", lambda number: "tuned")
    (tmp_path / "report.json").write_text(json.dumps({"run": "wards"}))
    found = score(sheet, None)
    add_to_report(tmp_path, found)
    assert json.loads((tmp_path / "report.json").read_text())["review"] == found
    assert "Human ratings" in (tmp_path / "report.html").read_text()
    assert 'id="review"' not in render({})
    lines = [line for line in review_tables(found) if isinstance(line, str)]
    assert "100.0 %" in lines[0]
    with pytest.raises(RunError, match="no readable report"):
        add_to_report(tmp_path / "none", found)


def test_answers_are_those_of_the_tuned_and_of_the_base_model(
    instruct: RunConfig, learner_of: LearnerOf, shake: Shake
) -> None:
    learner, fresh = learner_of(instruct), learner_of(instruct)
    shake(learner)
    prompts = ["aia bjb ckc", "dld eme"]
    pairs = pairs_of(learner, prompts, 5)
    task: Any = learner.task
    assert [pair.prompt for pair in pairs] == prompts
    assert [pair.tuned for pair in pairs] == [task.answer(learner, prompt, 5) for prompt in prompts]
    assert [pair.base for pair in pairs] == [task.answer(fresh, prompt, 5) for prompt in prompts]
    assert [pair.base for pair in pairs] != [pair.tuned for pair in pairs]


def test_a_classification_has_nothing_to_rate(classify: RunConfig, learner_of: LearnerOf) -> None:
    with pytest.raises(ConfigError, match="answers of this task are labels"):
        pairs_of(learner_of(classify), ["aia"], 5)


def test_export_reads_its_prompts_before_the_model(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no such file"):
        export_review(tmp_path / "no-adapter", tmp_path / "none.jsonl", tmp_path / "out", 5)
