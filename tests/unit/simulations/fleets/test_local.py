from collections.abc import Callable
from typing import Any

import pytest
from fixture_types import Change, LearnerOf, RecordsOf, Shake
from one_site import site_of
from screened import screen

from client.site import Site
from server.screening import Accepted, Rejected
from shared.adapters.peft import read_adapter
from shared.config.run import RunConfig
from shared.wire.messages import TrainOrder, TrainReply
from simulations.fleets.local import LocalFleet


@pytest.fixture
def config(classify: RunConfig, change: Change) -> RunConfig:
    return change(classify, {"privacy.enabled": False})


@pytest.fixture
def sites(config: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, open_budget: Callable[..., Any]) -> list[Site]:
    learner = learner_of(config)
    return [
        site_of(name, 100, config, records_of(config, 20, number), learner, None, open_budget(name))
        for number, name in enumerate(("north", "south"))
    ]


def orders(sites: list[Site], config: RunConfig, number: int = 1) -> dict[str, TrainOrder]:
    adapter = read_adapter(sites[0]._learner.model)
    return {site.site_id: TrainOrder("run", number, f"nonce-{site.site_id}", config, adapter, 3, "0.1.0") for site in sites}


def test_every_site_answers_with_its_own_training(sites: list[Site], config: RunConfig) -> None:
    done: list[int] = []
    fleet = LocalFleet(sites, done.append)
    assert fleet.connected() == ("north", "south")
    asked = orders(sites, config)
    answers = list(fleet.ask(asked, 60.0))
    verdicts = [screen(answer, asked[answer.site_id], 100.0) for answer in answers]
    assert all(isinstance(verdict, Accepted) for verdict in verdicts)
    assert [verdict.site_id for verdict in verdicts] == ["north", "south"]
    assert verdicts[0].delta.digest() != verdicts[1].delta.digest()
    assert sum(done) == 2


def test_a_message_costs_at_least_the_bytes_of_its_numbers(sites: list[Site], config: RunConfig, shake: Shake) -> None:
    shake(sites[0]._learner)  # equal tensors would travel once
    asked = orders(sites, config)
    numbers = 4 * asked["north"].adapter.parameters
    for answer in LocalFleet(sites, lambda _: None).ask(asked, 60.0):
        assert numbers < answer.bytes_up < 2 * numbers + 20_000
        assert numbers < answer.bytes_down < 2 * numbers + 20_000
        assert answer.bytes_down > answer.bytes_up  # the order carries the config too


def test_what_a_site_raises_is_its_class_name_and_stops_nobody(
    sites: list[Site], config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(order: TrainOrder) -> TrainReply:
        raise ValueError("a patient's words")

    monkeypatch.setattr(sites[0], "train", fail)
    asked = orders(sites, config)
    north, south = LocalFleet(sites, lambda _: None).ask(asked, 60.0)
    assert (north.content, north.error) == (None, "ValueError")
    assert "patient" not in repr(north)
    assert isinstance(screen(north, asked["north"], 1.0), Rejected)
    assert isinstance(screen(south, asked["south"], 100.0), Accepted)


def test_a_site_that_spent_a_round_answers_no_again(sites: list[Site], config: RunConfig) -> None:
    fleet = LocalFleet(sites, lambda _: None)
    list(fleet.ask(orders(sites, config), 60.0))
    assert [answer.error for answer in fleet.ask(orders(sites, config), 60.0)] == ["LedgerError"] * 2
    assert [answer.error for answer in fleet.ask(orders(sites, config, 2), 60.0)] == [None] * 2
