import errno
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from fixture_types import ConfigOf

from client import service as module
from client.lost_server import IdentityInUse, ServerGone
from client.service import Service
from shared.adapters.state import AdapterState
from shared.errors import ConnectionRefused, Declined
from shared.ops.energy import Lap
from shared.ops.event_printer import EventPrinter
from shared.ops.runlog import RunLog
from shared.wire.messages import TrainOrder, TrainReply

DELTA = AdapterState({"b": np.zeros(2, dtype=np.float32)})


class Host:
    """A site that answers at once."""

    def __init__(self, *_: object) -> None:
        pass

    def train(self, order: TrainOrder) -> TrainReply:
        return TrainReply(order.run_id, order.round, order.nonce, "north", DELTA)

    def budgets(self) -> tuple[()]:
        return ()


@pytest.mark.parametrize("country", [None, "DEU"])
@pytest.mark.parametrize(("private", "allowed"), [(False, True), (False, False), (True, True), (True, False)])
def test_electricity_is_logged_at_the_site_and_leaves_it_only_where_no_privacy_is_promised_and_the_policy_lets_it(
    config_of: ConfigOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private: bool, allowed: bool, country: str | None
) -> None:
    def measured(work: Iterator[Any], measured: bool, country: str | None) -> Iterator[tuple[Any, Lap | None]]:
        assert measured
        yield from ((item, Lap(2e-4, 7e-5 if country else None)) for item in work)

    monkeypatch.setattr(module, "Host", Host)
    monkeypatch.setattr(module, "laps_of", measured)
    site = SimpleNamespace(energy=True, country=country)
    file = SimpleNamespace(site=site, policy=SimpleNamespace(unreleased_metrics=allowed))
    telling = SimpleNamespace(order=lambda *_: None)
    log = RunLog(tmp_path / "events.jsonl")
    service = Service(cast(Any, file), log, cast(Any, telling))
    order = TrainOrder("run", 1, "nonce", config_of({"privacy.enabled": private}), DELTA, 3, "0.1.0")
    assert service.train(order).kwh == (2e-4 if allowed and not private else None)
    events = [json.loads(line) for line in log.path.read_text().splitlines()]
    [trained] = [event for event in events if event["event"] == "trained"]
    assert (trained["kwh"], trained["co2e_kg"]) == (2e-4, 7e-5 if country else None)


@pytest.mark.parametrize(("patience", "ends"), [(0, [False, False, True]), (1, [False, True, True])])
def test_a_run_may_be_over_as_soon_as_the_servers_patience_can_be_at_an_end(
    config_of: ConfigOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: int, ends: list[bool]
) -> None:
    monkeypatch.setattr(module, "Host", Host)
    file = SimpleNamespace(
        site=SimpleNamespace(energy=False, country=None), policy=SimpleNamespace(unreleased_metrics=False)
    )
    telling = SimpleNamespace(order=lambda *_: None)
    service = Service(cast(Any, file), RunLog(tmp_path / "events.jsonl"), cast(Any, telling))
    changes = {"training.rounds": 3, "evaluation.patience": patience, "evaluation.validation": 0.3}
    finished = []
    for number in (1, 2, 3):
        service.train(TrainOrder("run", number, "nonce", config_of(changes), DELTA, 3, "0.1.0"))
        finished.append(service.finished)
    assert finished == ends


def test_budgets_are_computed_when_no_order_waits_and_else_only_now_and_then(
    config_of: ConfigOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Host", Host)
    site = SimpleNamespace(energy=False, country=None)
    file = SimpleNamespace(site=site, policy=SimpleNamespace(unreleased_metrics=False))
    written: list[object] = []
    telling = SimpleNamespace(order=lambda *_: None, budgets=written.append)
    service = Service(cast(Any, file), RunLog(tmp_path / "events.jsonl"), cast(Any, telling))
    expected = {1: 1, 2: 1, 3: 1}  # the first is written at once, the others wait for a pause
    service.tell_budgets(idle=True)
    assert written == []
    for number in (1, 2, 3):
        service.train(TrainOrder("run", number, "nonce", config_of(), DELTA, 3, "0.1.0"))
        service.tell_budgets(idle=False)
        assert len(written) == expected[number]
    service.tell_budgets(idle=True)
    service.tell_budgets(idle=True)
    assert len(written) == 2
    monkeypatch.setattr(module, "BUDGETS", 0.0)
    service.train(TrainOrder("run", 4, "nonce", config_of(), DELTA, 3, "0.1.0"))
    service.tell_budgets(idle=False)
    assert len(written) == 3


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reasons: list[Exception]) -> tuple[list[float], list[Any]]:
    """Run a site whose attempts to connect end with these errors; return its pauses and what its status was told."""
    pauses, told = list[float](), list[Any]()

    def connect(*_: object) -> None:
        raise reasons.pop(0)

    telling = SimpleNamespace(connection=lambda *each: told.append(each), budgets=lambda _: None, refresh=lambda: None)
    server = SimpleNamespace(address="127.0.0.1:1", ca=None, key=None)
    site = SimpleNamespace(id="north", state=tmp_path / "state", energy=False)
    policy = SimpleNamespace(max_trainable=1, permit_reply=None)
    monkeypatch.setattr(module, "Connection", connect)
    monkeypatch.setattr(module, "StatusWriter", lambda _: telling)
    monkeypatch.setattr(module, "ServerAccess", SimpleNamespace(from_files=lambda *_: None))
    monkeypatch.setattr(module, "Host", Host)
    monkeypatch.setattr(time, "sleep", pauses.append)
    model = SimpleNamespace(processes=1, device="cpu")
    file = SimpleNamespace(server=server, site=site, policy=policy, model=model)
    with pytest.raises(ConnectionRefused):
        module.run_site(cast(Any, file), once=False, insecure=False, printer=EventPrinter())
    return pauses, told


def test_a_lost_answer_to_connecting_is_no_other_client_until_the_server_must_have_forgotten_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_use = IdentityInUse("another client is connected", "identity_in_use")
    monkeypatch.setattr(module, "TAKEN", 0.0)
    _, told = run(tmp_path, monkeypatch, [ServerGone("cannot be reached", "unreachable"), in_use, in_use])
    assert told[0] == ("connecting", "unreachable")
    assert told[-1] == ("refused",)


def test_a_server_that_stays_away_is_asked_less_and_less_and_the_log_stays_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone: list[Exception] = [ServerGone("fed: cannot be reached (refused)", "unreachable")] * 300
    pauses, _ = run(tmp_path, monkeypatch, [*gone, ConnectionRefused("no")])
    assert max(pauses[:10]) <= module.SHORT_PAUSE < min(pauses[30:])
    lines = (tmp_path / "state" / "events.jsonl").read_text().splitlines()
    assert len(lines) < 12
    assert json.loads(lines[0])["reason"] == "unreachable"
    assert "fed: cannot be reached (refused)" in capsys.readouterr().err


def test_a_full_disk_in_training_is_told_to_the_steward_in_the_systems_words(capsys: pytest.CaptureFixture[str]) -> None:
    service: Any = object.__new__(Service)
    service._log, service._telling = SimpleNamespace(event=lambda *_, **__: None), SimpleNamespace(order=lambda *_: None)
    order: Any = SimpleNamespace(run_id="run", round=3)
    told = Declined("declined")
    told.__cause__ = OSError(errno.ENOSPC, "a patient's words")
    service._refused(order, told)
    service._refused(order, ValueError("a patient's words"))
    said = capsys.readouterr().err
    assert said.startswith("hushtune: round 3 failed: No space left on device; ")
    assert said.count("\n") == 1
