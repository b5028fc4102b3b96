import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Said
from pydantic import ValidationError
from rich.console import Console
from rich.live import Live

from shared.errors import RunError
from shared.ops.status import BudgetSeen, OrderSeen, ServerStatus, SiteSeen, SiteStatus, StatusFile, status_file
from shared.ops.status_view import ago, status_tables, watch

NOW = time.time()
SERVER = ServerStatus(
    run="demo",
    run_id="0ab1",
    stage="asking",
    round=2,
    rounds=3,
    committed=1,
    quorum=2,
    waits_for=("east",),
    sites=(
        SiteSeen(site_id="north", connected=True, last_seen=NOW - 5, last_round=2, outcome="accepted"),
        SiteSeen(site_id="east", connected=False, last_seen=NOW - 7300, last_round=1, outcome="not_finite"),
        SiteSeen(site_id="south", connected=False),
    ),
)
SITE = SiteStatus(
    site_id="north",
    server="fed.example.org:8443",
    connection="connected",
    since=NOW - 3 * 86400 - 3600,
    budgets=(BudgetSeen(of="3fa91c", spent=2.5, counted_by="filter", limit=8.0, delta=1e-5),),
    orders=(
        OrderSeen(time=NOW - 60, run_id="0ab1", round=1, outcome="sent"),
        OrderSeen(time=NOW - 30, run_id="0ab1", round=2, outcome="refused", reason="max_rounds"),
    ),
)


def shown(path: Path) -> str:
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(*status_tables(StatusFile(path).read()))
    return console.export_text()


def view_of(status: ServerStatus | SiteStatus, folder: Path) -> str:
    StatusFile(folder / "status.json").write(status)
    return shown(folder / "status.json")


@pytest.mark.parametrize("status", [SERVER, SITE])
def test_a_status_comes_back_as_it_was_written(tmp_path: Path, status: ServerStatus | SiteStatus) -> None:
    file = StatusFile(tmp_path / "state" / "status.json")
    file.write(status)
    seen = file.read()
    assert seen.status == status
    assert (seen.pid, seen.running) == (os.getpid(), True)
    assert 0 <= seen.age < 60
    assert [path.name for path in file.path.parent.iterdir()] == ["status.json"]
    assert file.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: SERVER.model_copy().model_validate({**SERVER.model_dump(), "run": "the patient said"}),
        lambda: SiteSeen(site_id="north", connected=True, outcome="the patient said"),
        lambda: SiteSeen(site_id="the patient said", connected=True),
        lambda: OrderSeen(time=0, run_id="x\n", round=1, outcome="sent"),
        lambda: OrderSeen(time=0, run_id="x", round=1, outcome="the patient said"),  # type: ignore[arg-type]
        lambda: OrderSeen(time=0, run_id="x", round=1, outcome="failed", reason="the patient said"),
        lambda: BudgetSeen(of="the patient said", spent=0, limit=1, delta=0.1),
        lambda: BudgetSeen(of="3fa91c", spent=float("inf"), limit=8.0, delta=1e-5),
        lambda: SiteStatus(site_id="n", server="the patient said", connection="connected", since=0),
        lambda: SiteStatus(site_id="n", server="x:1", connection="connected", since=0, note="the patient said"),
    ],
)
def test_free_text_and_an_infinite_epsilon_are_refused_and_not_repeated(make: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        make()
    assert "patient" not in str(caught.value)


def test_a_reader_meets_the_old_or_the_new_status_and_never_half_of_one(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "status.json")
    file.write(SERVER)
    (tmp_path / "status.json.partial").write_text('{"pid": 1')  # a writer that was killed in the middle
    assert file.read().status == SERVER
    file.write(SITE)
    assert file.read().status == SITE


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "updated": 0, "status": {"kind": "x"}}'])
def test_a_damaged_status_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "status.json").write_text(content)
    with pytest.raises(RunError, match=r"status\.json: damaged") as caught:
        StatusFile(tmp_path / "status.json").read()
    assert "\n" not in str(caught.value)


def test_the_folder_may_be_the_state_or_the_one_of_the_site_file(tmp_path: Path) -> None:
    for text in ("site = 3\n", '[site]\nstate = "own"\n'):
        (tmp_path / "SITE.toml").write_text(text)
        with pytest.raises(RunError, match="nothing has run here yet"):
            status_file(tmp_path)
    StatusFile(tmp_path / "own" / "status.json").write(SITE)
    assert status_file(tmp_path).read().status == SITE
    assert status_file(tmp_path / "own").read().status == SITE


def test_the_servers_view_says_how_far_it_is_and_what_it_waits_for(tmp_path: Path) -> None:
    text = view_of(SERVER, tmp_path)
    for part in ("running", "2 of 3; 1 committed", "asking", "east", "not_finite", "2 h ago", "never"):
        assert part in text


def test_a_server_below_quorum_says_how_many_it_waits_for(tmp_path: Path) -> None:
    waiting = {"stage": "waiting_for_sites", "waits_for": (), "attempt": 3}
    text = view_of(SERVER.model_copy(update=waiting), tmp_path)
    assert "2 sites; 1 connected" in text
    assert "attempt 3" in text


def test_the_sites_view_says_what_is_left_and_why_an_order_was_refused(tmp_path: Path) -> None:
    text = view_of(SITE, tmp_path)
    for part in ("connected, since 3 d ago", " 2.5 ", " 8 ", " 5.5 ", "1e-5", "filter", "refused", "max_rounds"):
        assert part in text
    assert text.index("refused") < text.index("sent ")  # the newest first


@pytest.mark.parametrize(
    ("spent", "parts"), [(2.4990001, ("2.4991", "5.5009")), (None, ("no bound: used without privacy",))], ids=str
)
def test_spent_is_rounded_up_left_is_rounded_down_and_without_privacy_nothing_is_left(
    tmp_path: Path, spent: float | None, parts: tuple[str, ...]
) -> None:
    budgets = (BudgetSeen(of="3fa91c", spent=spent, limit=8.0, delta=1e-5),)
    text = view_of(SITE.model_copy(update={"budgets": budgets}), tmp_path)
    assert all(part in text for part in parts)


def test_a_process_that_is_gone_or_silent_is_said_to_be(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    path = tmp_path / "status.json"
    StatusFile(path).write(SITE)
    tree = json.loads(path.read_text())
    path.write_text(json.dumps({**tree, "pid": gone.pid}))
    assert f"stopped: process {gone.pid} no longer runs" in shown(path)
    path.write_text(json.dumps({**tree, "updated": tree["updated"] - 7300}))
    assert "silent" in shown(path)
    assert "2 h ago" in shown(path)


def test_watching_shows_what_changed_since_the_last_look(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "status.json")
    console = Console(width=120, record=True, force_terminal=True, file=open(os.devnull, "w"))  # noqa: SIM115
    rounds = iter((1, 2, 3))

    def ticks() -> Any:
        for number in rounds:
            file.write(SERVER.model_copy(update={"round": number}))
            yield 0.0

    file.write(SERVER)
    watch(file, ticks(), Live(console=console, auto_refresh=False))
    text = console.export_text()
    assert all(f"{number} of 3" in text for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("seconds", "words"), [(-3, "0 s ago"), (59, "59 s ago"), (60, "1 min ago"), (7200, "2 h ago"), (200_000, "2 d ago")]
)
def test_time_in_words(seconds: float, words: str) -> None:
    assert ago(seconds) == words


def test_the_command_prints_tables_or_json(tmp_path: Path, said: Said) -> None:
    StatusFile(tmp_path / "status.json").write(SITE)
    for words, part in ((["--json"], '"site_id": "north"'), ([], "Site north")):
        status, out, _ = said("status", tmp_path, *words)
        assert status == 0
        assert part in out


def test_the_command_in_a_folder_where_nothing_ran_is_one_line(tmp_path: Path, said: Said) -> None:
    status, out, err = said("status", tmp_path)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "nothing has run here yet" in err
