"""A server that asks about records instead of training on them: whatever it sends, what it sees says nothing of them.

What it sees is each request that leaves the site, byte by byte, for two files that differ by what it wants to know.
"""

import json
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
from fixture_types import Change, LearnerOf
from flwr.app import Message, MessageType
from flwr.supercore.task_identity import TaskIdentity
from site_toml import tiny_site
from stand_ins import stand_in

from client.app import client_app
from client.connection import Connection
from client.outward_codes import outward_code
from client.server_access import ServerAccess
from client.service import Service, until_it_leaves
from client.set_up import Host
from client.site_file import SiteFile
from privacy.leakage.gate import GateFailed
from shared.adapters.peft import read_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import HushtuneError, LedgerError, PrivacyError
from shared.identity.keys import new_key
from shared.models.wheels import sha256_file
from shared.ops.runlog import RunLog
from shared.wire.chain_head import ChainHead
from shared.wire.messages import TrainOrder
from shared.wire.version import installed

# Guessing succeeds in 4 of 400, and in more than 12 in 1 run of 3,600 (the draws are seeded, so that run is not this one).
# An attack that succeeds 1 time in 17, or more often, is found in 99 runs of 100; the one of the audit succeeded each time.
TRIALS = 400
NOWHERE = ChainHead(9, "e" * 64)  # a ledger's end that never was: on the old code it stopped an order after all was asked
Row = Mapping[str, Any]
Forge = Callable[..., TrainOrder]


@pytest.fixture
def file(tmp_path: Path, tiny_bert: Path) -> SiteFile:
    policy = f'without_privacy = true\nversions = ["{installed()}"]'
    return tiny_site(tmp_path, tiny_bert, policy, columns='{ text = "text", label = "label" }')


@pytest.fixture
def forge(
    classify: RunConfig, change: Change, learner_of: LearnerOf, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> Forge:
    """Return an order that the site would carry out, with a changed config; scrubber and model are stand-ins."""
    changes = {"model.name": "tiny", "model.sha256": sha256_file(tiny_bert / "model.safetensors"), "privacy.enabled": False}
    honest, learner = change(classify, changes), learner_of(classify)
    stand_in(monkeypatch, learner)
    adapter = read_adapter(learner.model)
    return lambda asked=(): TrainOrder(
        "run", 1, "nonce", change(honest, dict(asked)), adapter, 2, installed(), ledger=ChainHead()
    )


def rows(count: int, **more: Any) -> list[Row]:
    return [{"text": f"aia bib {'aia ' * (i % 3)}", "label": "yes" if i % 2 else "no", **more} for i in range(count)]


def write(file: SiteFile, content: Sequence[Row] | bytes | None) -> SiteFile:
    """Return the site with its own state and data file."""
    folder = file.data.file.parent / str(time.monotonic_ns())
    folder.mkdir()
    path = folder / "records.jsonl"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    site = file.site.model_copy(update={"state": folder / "state", "ledger_head": folder / "ledger_head.json"})
    return file.model_copy(update={"site": site, "data": file.data.model_copy(update={"file": path})})


class Wire:
    """The Fleet API of a server that keeps each byte it is sent."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        def call(request: Any) -> Any:
            self.seen.append(request.SerializeToString(deterministic=True))
            wanted = [tree.object_id for tree in getattr(request, "message_object_trees", ())]
            return SimpleNamespace(session_id="s", objects_to_push=wanted, stored=True)

        return call


def service_of(file: SiteFile, wait: Callable[[float], None]) -> Service:
    file.site.state.mkdir(exist_ok=True)
    status = SimpleNamespace(order=lambda *_: None, step=lambda *_: None)
    return Service(file, RunLog(file.site.state / "events.jsonl"), cast(Any, status), wait)


def what_the_server_sees(file: SiteFile, orders: Sequence[TrainOrder], monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """All that leaves a site, by its own service, app and connection, in answer to some orders."""
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 5, 1
    wire = Wire()
    monkeypatch.setattr(ServerAccess, "client", lambda _: wire)
    service = service_of(file, lambda _: None)
    app = client_app(service, file.policy.permit_reply)
    connection = Connection(ServerAccess("north", "127.0.0.1:1", None, KEY), file.site.state / "node")
    for number, order in enumerate(orders):
        message = Message(order.to_record(), 7, MessageType.TRAIN, ttl=3600.0)
        message.metadata.created_at = 1_750_000_000.0 + number
        message.metadata.__dict__["_message_id"] = str(number)
        connection.answer(app, message)
    return wire.seen


KEY = new_key()


def bins(low: float, high: float) -> list[dict[str, Any]]:
    return [{"label": "yes", "low": low, "high": high}]


BY_AGE = {"data.columns.label": "age", "data.label_bins": bins(43, 43)}
QUESTIONS: dict[str, tuple[Mapping[str, Any], list[Row], list[Row], str]] = {
    "are there 41 records": ({"cohort.min_records": 41}, rows(40), rows(41), "data.min_records"),
    "are 5 persons 43 years old": (
        {**BY_AGE, "cohort.min_records": 5},
        [*rows(20, age=60), *rows(4, age=43)],
        [*rows(20, age=60), *rows(5, age=43)],
        "data.columns.label",
    ),
    "is anybody 43 years old, in the site's own column": (
        {"data.label_bins": bins(43, 43)},
        [{"text": "aia", "label": 60}] * 20,
        [{"text": "aia", "label": 43}] * 20,
        "data.label_bins",
    ),
    "is patient 106513 here": (
        {"data.columns.label": "patient", "data.label_bins": bins(106513, 106513), "cohort.min_records": 1},
        rows(20, patient=1),
        [*rows(19, patient=1), *rows(1, patient=106513)],
        "data.columns.label",
    ),
    "is patient 106513 here, as a group to hide": (
        {"adversary": {"column": "patient", "groups": ["106513", "x"]}},
        rows(20, patient="1"),
        [*rows(19, patient="1"), *rows(1, patient="106513")],
        "data.groups",
    ),
    "are 4 persons hiv-positive": (
        {"data.columns.label": "hiv"},
        [*rows(17, hiv="-"), *rows(3, hiv="no")],
        rows(20, hiv="no"),
        "data.columns.label",
    ),
    "has any record another label": (
        {"task.labels": ["no", "yes", "perhaps"]},
        rows(20),
        [*rows(20), {"text": "aia", "label": "perhaps"}],
        "data.labels",
    ),
    "does a record know its person": (
        {"data.columns.person": "who"},
        rows(20, who="ann"),
        [*rows(19, who="ann"), *rows(1, who="")],
        "data.columns.person",
    ),
    "are 4 texts long": (
        {"cleaning.min_chars": 9},
        [{"text": "aia bib", "label": "no"}] * 20,
        [{"text": "aia bib aia bib", "label": "no"}] * 20,
        "cleaning.min_chars",
    ),
    "are 4 texts different": (
        {"cleaning.exact_duplicates": "drop"},
        [{"text": "aia bib", "label": "no"}] * 20,
        rows(20),
        "cleaning.exact_duplicates",
    ),
}


@pytest.mark.parametrize(("asked", "one", "other", "field"), QUESTIONS.values(), ids=QUESTIONS)
def test_a_question_about_records_is_answered_the_same_whatever_the_records_are_and_costs_the_site_nothing(
    file: SiteFile,
    forge: Forge,
    monkeypatch: pytest.MonkeyPatch,
    asked: Mapping[str, Any],
    one: list[Row],
    other: list[Row],
    field: str,
) -> None:
    order = replace(forge(asked), ledger=NOWHERE)
    seen = []
    for content in (one, other):
        site = write(file, content)
        seen.append(what_the_server_sees(site, [order], monkeypatch))
        assert not site.set_ups.count().set_ups
        assert not site.ledger.exists()
    assert seen[0] == seen[1]
    assert f"PolicyRefused:{field}".encode() in seen[0][0]


@pytest.mark.slow
def test_counting_records_by_bisection_succeeds_no_more_often_than_guessing(file: SiteFile, forge: Forge) -> None:
    low, high = 20, 119
    draw = random.Random(16)  # noqa: S311  which files there are
    order_of = cache(lambda least: replace(forge({"cohort.min_records": least}), ledger=NOWHERE))
    hits = 0
    for _ in range(TRIALS):
        true = draw.randint(low, high)
        hits += bisected(Host(write(file, rows(true)), lambda *_, **__: None), order_of, low, high) == true
    guessing = TRIALS / (high - low + 1)
    assert hits <= guessing + 4 * guessing**0.5


def bisected(host: Host, order_of: Callable[[int], TrainOrder], low: int, high: int) -> int:
    """Find the record count as the attack of the audit does: the class of a refusal shows whether there are that many."""
    while low < high:
        middle = (low + high + 1) // 2
        try:
            host.train(order_of(middle))
            fewer = False
        except HushtuneError as error:
            fewer = outward_code(error) in ("DataError", "Declined")
        low, high = (low, middle - 1) if fewer else (middle, high)
    return low


UNUSABLE: dict[str, Sequence[Row] | bytes | None] = {
    "too few": rows(3),
    "none": [],
    "a label of no run": [*rows(20), {"text": "aia", "label": "perhaps"}],
    "no column": [{"text": "aia"}] * 20,
    "no text": [{"text": None, "label": "no"}] * 20,
    "no JSON": b"a patient's words\n",
    "no UTF-8": b"\xff\xfe\n",
    "no file": None,
}


FAILING: dict[str, tuple[str, Exception]] = {
    "the gate": ("client.data_stage.site_data.clean", GateFailed("0.3 of the records")),
    "the anonymiser": ("client.data_stage.site_data.scrub", RuntimeError("a patient's words")),
    "the start-up check": ("client.site.training_set", PrivacyError("gradients differ by 2e-3")),
    "memory at the set-up": ("client.data_stage.site_data.prepare", MemoryError()),
    "memory in training": ("client.site.train", MemoryError()),
    "the budget of these records": ("privacy.budget.Budget.reserve", LedgerError("budget exhausted: 3.2 of 4")),
    "a disk": ("client.outbox.Outbox.store", OSError(28, "No space left on device")),
}


def test_whatever_fails_for_the_records_leaves_as_the_same_bytes(
    file: SiteFile, forge: Forge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order, seen = forge(), {}
    for name, content in UNUSABLE.items():
        seen[name] = what_the_server_sees(write(file, content), [order, order], monkeypatch)
    for name, (place, error) in FAILING.items():
        with monkeypatch.context() as patch:
            patch.setattr(place, Mock(side_effect=error))
            site = write(file, rows(20))
            seen[name] = what_the_server_sees(site, [order, order], monkeypatch)
        reasons = re.findall(r'"reason": "(\w+)"', (site.site.state / "events.jsonl").read_text())
        assert reasons == [type(error).__name__] * 2  # the steward's own log has it
    first = next(iter(seen.values()))
    assert [name for name, bytes_ in seen.items() if bytes_ != first] == []
    assert b"Declined" in first[0]
    assert "patient" not in capsys.readouterr().err


def test_the_same_order_is_carried_out_where_the_records_can_be_used(
    file: SiteFile, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, *pieces = what_the_server_sees(write(file, rows(20)), [forge()], monkeypatch)
    assert b"Declined" not in header
    assert pieces  # or the tests above would show nothing


def test_a_declined_order_is_answered_at_times_that_double() -> None:
    leaves = {round(elapsed + until_it_leaves(elapsed), 6) for elapsed in (0.0, 0.01, 1.5, 3.9, 4.0)}
    assert leaves == {4.0}
    assert {round(e + until_it_leaves(e), 6) for e in (4.1, 7.0, 9.0, 100.0)} == {8.0, 16.0, 128.0}


def test_only_a_declined_order_waits(file: SiteFile, forge: Forge) -> None:
    waited: list[float] = []
    site = write(file, rows(3))
    service = service_of(site, waited.append)
    for order in (forge({"training.rounds": 101}), replace(forge(), adapter=AdapterState({})), forge()):
        with pytest.raises(HushtuneError):
            service.train(order)
    assert len(waited) == 1
    assert 0 < waited[0] < 4
