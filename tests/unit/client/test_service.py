import errno
import json
import time
from collections.abc import Callable, Iterator
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
from shared.config.run import RunConfig
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

    def ready(self, order: TrainOrder) -> None:
        pass

    def budgets(self) -> tuple[()]:
        return ()


@pytest.fixture
def service_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Service]:
    """Return a function that makes a service in front of such a site; the file has these values."""
    monkeypatch.setattr(module, "Host", Host)

    def made(*, energy: bool = False, country: str | None = None, allowed: bool = False, budgets: Any = None) -> Service:
        policy = SimpleNamespace(unreleased_metrics=allowed)
        file = SimpleNamespace(site=SimpleNamespace(energy=energy, country=country), policy=policy)
        status = SimpleNamespace(order=lambda *_: None, budgets=budgets)
        return Service(cast(Any, file), RunLog(tmp_path / "events.jsonl"), cast(Any, status))

    return made


def order_of(config: RunConfig, number: int = 1) -> TrainOrder:
    return TrainOrder("run", number, "nonce", config, DELTA, 3, "0.1.0")


@pytest.mark.parametrize("country", [None, "DEU"])
@pytest.mark.parametrize(("private", "allowed"), [(False, True), (False, False), (True, True), (True, False)])
def test_electricity_is_logged_at_the_site_and_leaves_it_only_where_no_privacy_is_promised_and_the_policy_lets_it(
    config_of: ConfigOf,
    service_of: Callable[..., Service],
    monkeypatch: pytest.MonkeyPatch,
    private: bool,
    allowed: bool,
    country: str | None,
) -> None:
    def measured(work: Iterator[Any], measured: bool, country: str | None) -> Iterator[tuple[Any, Lap | None]]:
        assert measured
        yield from ((item, Lap(2e-4, 7e-5 if country else None)) for item in work)

    monkeypatch.setattr(module, "laps_of", measured)
    service = service_of(energy=True, country=country, allowed=allowed)
    reply = service.train(order_of(config_of({"privacy.enabled": private})))
    assert reply.kwh == (2e-4 if allowed and not private else None)
    events = [json.loads(line) for line in service._log.path.read_text().splitlines()]
    [trained] = [event for event in events if event["event"] == "trained"]
    assert (trained["kwh"], trained["co2e_kg"]) == (2e-4, 7e-5 if country else None)


@pytest.mark.parametrize(("patience", "ends"), [(0, [False, False, True]), (1, [False, True, True])])
def test_a_run_may_be_over_as_soon_as_the_servers_patience_can_be_at_an_end(
    config_of: ConfigOf, service_of: Callable[..., Service], patience: int, ends: list[bool]
) -> None:
    service = service_of()
    changes = {"training.rounds": 3, "evaluation.patience": patience, "evaluation.validation": 0.3}
    finished = []
    for number in (1, 2, 3):
        service.train(order_of(config_of(changes), number))
        finished.append(service.finished)
    assert finished == ends


def test_a_run_that_is_over_does_not_end_the_secure_sum_of_the_next_one(
    config_of: ConfigOf, service_of: Callable[..., Service]
) -> None:
    service = service_of()
    service.train(order_of(config_of({"training.rounds": 1})))
    assert service.finished
    service.ready(order_of(config_of({"training.rounds": 3})))
    assert not service.finished


def test_budgets_are_computed_when_no_order_waits_and_else_only_now_and_then(
    config_of: ConfigOf, service_of: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []
    service = service_of(budgets=written.append)
    service.write_budgets(idle=True)
    assert written == []
    for number in (1, 2, 3):
        service.train(order_of(config_of(), number))
        service.write_budgets(idle=False)
        assert len(written) == 1  # the first is written at once, the others wait for a pause
    service.write_budgets(idle=True)
    service.write_budgets(idle=True)
    assert len(written) == 2
    monkeypatch.setattr(module, "BUDGETS", 0.0)
    service.train(order_of(config_of(), 4))
    service.write_budgets(idle=False)
    assert len(written) == 3


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reasons: list[Exception]) -> tuple[list[float], list[Any]]:
    """Run a site whose attempts to connect end with these errors; return its pauses and what its status was told."""
    pauses, told = list[float](), list[Any]()

    def connect(*_: object) -> None:
        raise reasons.pop(0)

    status = SimpleNamespace(connection=lambda *each: told.append(each), budgets=lambda _: None, refresh=lambda: None)
    server = SimpleNamespace(address="127.0.0.1:1", ca=None, key=None)
    site = SimpleNamespace(id="north", state=tmp_path / "state", energy=False)
    policy = SimpleNamespace(max_trainable=1, permit_reply=None)
    monkeypatch.setattr(module, "Connection", connect)
    monkeypatch.setattr(module, "StatusWriter", lambda _: status)
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
    monkeypatch.setattr(module, "FORGOTTEN", 0.0)
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
    service._log, service._status = SimpleNamespace(event=lambda *_, **__: None), SimpleNamespace(order=lambda *_: None)
    order: Any = SimpleNamespace(run_id="run", round=3)
    told = Declined("declined")
    told.__cause__ = OSError(errno.ENOSPC, "a patient's words")
    service._refused(order, told)
    service._refused(order, ValueError("a patient's words"))
    said = capsys.readouterr().err
    assert said.startswith("hushtune: round 3 failed: No space left on device; ")
    assert said.count("\n") == 1
