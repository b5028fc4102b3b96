from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fixture_types import ConfigOf
from site_toml import site_toml

from client import status as status_module
from client.site_file import SiteFile
from client.status import KEPT, StatusWriter
from shared.adapters.state import AdapterState
from shared.ops.status import BudgetSeen, SiteStatus, StatusFile
from shared.wire.messages import TrainOrder


@pytest.fixture
def file(tmp_path: Path) -> SiteFile:
    (tmp_path / "SITE.toml").write_text(site_toml('tasks = ["classification"]\nmodels = []'))
    return SiteFile.load(tmp_path / "SITE.toml")


@pytest.fixture
def order(config_of: ConfigOf) -> Callable[[int], TrainOrder]:
    adapter = AdapterState({"b": np.zeros(2, np.float32)})
    return lambda number: TrainOrder("run", number, "nonce", config_of(), adapter, 3, "0.1.0")


def told(file: SiteFile) -> SiteStatus:
    status = StatusFile(file.status).read().status
    assert isinstance(status, SiteStatus)
    return status


def test_a_client_that_starts_says_that_it_is_connecting(file: SiteFile) -> None:
    StatusWriter(file)
    assert (told(file).connection, told(file).site_id, told(file).server) == ("connecting", "north", "fed.example.org:8443")


def test_a_connection_that_changes_is_told_with_its_time(file: SiteFile) -> None:
    writer = StatusWriter(file)
    began = told(file).since
    writer.connection("connected")
    since = told(file).since
    writer.connection("connected")
    assert began <= since == told(file).since
    assert told(file).connection == "connected"


def test_an_order_shows_what_became_of_it(file: SiteFile, order: Callable[[int], TrainOrder]) -> None:
    writer = StatusWriter(file)
    writer.order(order(1), "training")
    assert [(seen.round, seen.outcome) for seen in told(file).orders] == [(1, "training")]
    writer.order(order(1), "sent")
    writer.order(order(2), "training")
    writer.order(order(2), "refused", "PolicyRefused:max_rounds")
    seen = told(file).orders
    assert [(each.round, each.outcome, each.reason) for each in seen] == [
        (1, "sent", None),
        (2, "refused", "PolicyRefused:max_rounds"),
    ]


def test_the_step_of_the_set_up_that_is_under_way_is_shown_and_none_when_nothing_is(
    file: SiteFile, order: Callable[[int], TrainOrder]
) -> None:
    writer = StatusWriter(file)
    writer.step("assess")  # without an order there is nothing to show
    assert told(file).orders == ()
    writer.order(order(1), "training")
    for step, outcome in [("assess", "assessing"), ("anonymise", "anonymising"), ("paraphrases", "anonymising")]:
        writer.step(step)
        assert [seen.outcome for seen in told(file).orders] == [outcome]
    writer.order(order(1), "refused", "GateFailed")
    writer.step("ready")
    assert [seen.outcome for seen in told(file).orders] == ["refused"]


def test_only_the_last_orders_are_kept(file: SiteFile, order: Callable[[int], TrainOrder]) -> None:
    writer = StatusWriter(file)
    for number in range(1, KEPT + 6):
        writer.order(order(number), "sent")
    assert [seen.round for seen in told(file).orders] == list(range(6, KEPT + 6))


def test_the_budget_is_what_the_ledger_says(file: SiteFile) -> None:
    budget = BudgetSeen(of="3fa91c", spent=1.5, limit=8.0, delta=1e-4)
    StatusWriter(file).budgets([budget])
    assert told(file).budgets == (budget,)


def test_an_old_status_is_written_again_and_a_fresh_one_is_not(file: SiteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = StatusWriter(file)
    file.status.unlink()
    writer.refresh()
    assert not file.status.exists()
    monkeypatch.setattr(status_module, "REFRESH", 0.0)
    writer.refresh()
    assert told(file).connection == "connecting"
