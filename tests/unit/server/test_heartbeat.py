import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest
from fixture_types import ConfigOf
from made_round import made_round

from server.heartbeat import Watch, tell_start
from server.network.superlink import Node
from server.rounds import Round
from server.screening import Rejected
from server.state import Beginning, StateFolder
from shared.ops.status import ServerStatus, StatusFile


@dataclass
class Fleet:
    """Sites as a test wants them."""

    online: dict[str, bool] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    def refresh(self) -> tuple[str, ...]:
        return ()

    def nodes(self) -> dict[str, Node]:
        return {site: Node(online, "", 12.5) for site, online in self.online.items()}

    def connected(self) -> tuple[str, ...]:
        return tuple(site for site, online in self.online.items() if online)


class Health:
    """Health checks that nobody makes."""

    def show(self, listening: bool, quorum: bool) -> None:
        pass


@pytest.fixture
def told(tmp_path: Path, config_of: ConfigOf) -> Callable[..., ServerStatus]:
    """Return the content of the status file at the end of a watch over these rounds."""

    def write(fleet: Fleet, *rounds: Round) -> ServerStatus:
        watch = Watch(
            cast("Any", fleet), cast("Any", Health()), config_of({"run.name": "demo"}), "0ab1", tmp_path / "status.json"
        )
        with watch:
            watch.saw(rounds)
        status = StatusFile(tmp_path / "status.json").read().status
        assert isinstance(status, ServerStatus)
        return status

    return write


def test_before_any_round_every_site_of_the_run_is_listed(told: Callable[..., ServerStatus]) -> None:
    status = told(Fleet({"north": True}))
    assert (status.run, status.run_id, status.round, status.rounds, status.committed) == ("demo", "0ab1", 1, 3, 0)
    assert [(site.site_id, site.connected, site.last_seen, site.outcome) for site in status.sites] == [
        ("north", True, 12.5, None),
        ("south", False, None, None),
    ]


def test_each_site_shows_how_its_last_answer_was_taken(told: Callable[..., ServerStatus]) -> None:
    rounds = (
        made_round(1, accepted=("north", "south")),
        made_round(2, accepted=("north",), rejected=(Rejected("south", "not_finite", ""),)),
        made_round(3, committed=False, missing=("north",)),
    )
    status = told(Fleet({"north": False, "south": True}, waiting=("south",)), *rounds)
    assert [(site.last_round, site.outcome) for site in status.sites] == [(3, "missing"), (2, "not_finite")]
    assert (status.round, status.committed, status.attempt, status.waits_for) == (3, 2, 2, ("south",))


def test_a_server_that_starts_again_is_told_before_it_has_loaded_anything(tmp_path: Path, config_of: ConfigOf) -> None:
    folder = StateFolder(tmp_path)
    folder.status.parent.mkdir(parents=True, exist_ok=True)
    tell_start(config_of(), Beginning("0ab1", rounds=[made_round(1), made_round(2)]), folder)
    seen = StatusFile(folder.status).read()
    assert isinstance(seen.status, ServerStatus)
    assert (seen.running, seen.status.stage, seen.status.committed, seen.status.round) == (True, "starting", 2, 3)


def test_a_full_disk_neither_ends_the_run_nor_the_thread_that_reads_the_allow_list(
    tmp_path: Path, config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet, looks = Fleet(), list[int]()
    monkeypatch.setattr(StatusFile, "write", Mock(side_effect=OSError(28, "No space left on device")))
    monkeypatch.setattr("server.heartbeat.EVERY", 0.01)
    monkeypatch.setattr(fleet, "refresh", lambda: looks.append(1) or ())
    with Watch(cast("Any", fleet), cast("Any", Health()), config_of(), "1", tmp_path / "s"):
        end = time.monotonic() + 20
        while len(looks) < 3 and time.monotonic() < end:
            time.sleep(0.01)
    assert len(looks) >= 3
    assert capsys.readouterr().err.count("No space left") == 1


def test_how_a_run_ended_is_told(tmp_path: Path, told: Callable[..., ServerStatus], config_of: ConfigOf) -> None:
    assert told(Fleet(), *(made_round(number) for number in (1, 2, 3))).stage == "finished"
    with (
        pytest.raises(KeyboardInterrupt),
        Watch(cast("Any", Fleet()), cast("Any", Health()), config_of(), "1", tmp_path / "s"),
    ):
        raise KeyboardInterrupt
    status = StatusFile(tmp_path / "s").read().status
    assert isinstance(status, ServerStatus)
    assert status.stage == "failed"
