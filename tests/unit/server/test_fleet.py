"""The exchange of a round with sites behind a link: who is asked, asked again, given up, and what of an error is kept."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fixture_types import ConfigOf
from toy_sites import toy_state

from server import fleet as module
from server.fleet import GridFleet
from server.network.allowlist import AllowList
from server.network.superlink import Incoming, Node, RunLost
from shared.adapters.state import AdapterState
from shared.errors import RunError
from shared.wire.messages import TrainOrder, TrainReply


class ToyLink:
    """Flower as a script: at each look, what comes back and who is there."""

    def __init__(self, looks: Sequence[Callable[["ToyLink"], list[Incoming]]] = ()) -> None:
        self.looks, self.sent, self.runs, self.forgotten = list(looks), list[tuple[str, int]](), 0, list[str]()
        self.here: dict[int, Node] = {}
        self.filter = SimpleNamespace(admit=lambda keys: setattr(self, "admitted", keys))
        self.admitted: Mapping[bytes, str] = {}
        self.lose, self.dismissed = 0, list[int]()

    def register(self, key: bytes) -> int:
        node = len(self.here) + 1
        self.here[node] = Node(True, "then", 0.0)
        return node

    def nodes(self) -> Mapping[int, Node]:
        return self.here

    def node(self, node_id: int) -> Node:
        return self.here[node_id]

    def dismiss(self, node_id: int) -> None:
        self.dismissed.append(node_id)

    def open_run(self) -> None:
        self.runs += 1

    def push(self, node: int, record: Any, lifetime: float, kind: str) -> tuple[str, int]:
        if self.lose:
            self.lose -= 1
            raise RunLost
        self.sent.append((f"m{len(self.sent)}", node))
        return self.sent[-1][0], 100

    def pull(self, message_ids: Sequence[str]) -> Iterator[Incoming]:
        if self.looks:
            yield from self.looks.pop(0)(self)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def forget(self, message_ids: Sequence[str]) -> None:
        self.forgotten += message_ids


@pytest.fixture
def orders(config_of: ConfigOf) -> dict[str, TrainOrder]:
    config = config_of()
    return {site: TrainOrder("run", 1, f"n-{site}", config, toy_state(1.0), 2, "0.1.0") for site in ("north", "south")}


@pytest.fixture
def fleet_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[ToyLink], GridFleet]:
    monkeypatch.setattr(module, "POLL", 0.001)
    for name in ("north", "south", "stranger"):
        (tmp_path / f"{name}.pub").write_text(name)
    return lambda link: GridFleet(link, AllowList(tmp_path, Path.read_bytes), ["north", "south", "west"])  # type: ignore[arg-type]


def reply(message: str, order: TrainOrder, site: str, delta: AdapterState) -> Incoming:
    content = TrainReply(order.run_id, order.round, order.nonce, site, delta).to_record()
    return Incoming(message, content, None, False, 50)


def test_the_sites_of_the_run_with_a_key_and_a_connection_are_there(fleet_of: Any) -> None:
    link = ToyLink()
    fleet = fleet_of(link)
    assert fleet.connected() == ("north", "south")
    link.here[1] = Node(False, "then", 0.0)
    assert fleet.connected() == ("south",)
    assert set(link.admitted.values()) == {"north", "south", "stranger"}


def test_answers_are_yielded_as_they_come(fleet_of: Any, orders: dict[str, TrainOrder]) -> None:
    looks = [
        lambda link: [],
        lambda link: [reply("m1", orders["south"], "south", toy_state(1))],
        lambda link: [Incoming("m0", None, "ValueError", False, 7)],
    ]
    link = ToyLink(looks)
    answers = list(fleet_of(link).ask(orders, 30.0))
    assert [(a.site_id, a.error, a.bytes_down, a.bytes_up) for a in answers] == [
        ("south", None, 100, 50),
        ("north", "ValueError", 100, 7),
    ]


def test_a_round_ends_at_its_deadline_and_leaves_no_message_behind(fleet_of: Any, orders: dict[str, TrainOrder]) -> None:
    link = ToyLink()
    fleet = fleet_of(link)
    assert list(fleet.ask(orders, 0.05)) == []
    assert sorted(link.forgotten) == ["m0", "m1"]
    assert fleet.waiting == ()


def test_a_site_that_connects_anew_gets_its_order_again(fleet_of: Any, orders: dict[str, TrainOrder]) -> None:
    def back(link: ToyLink) -> list[Incoming]:
        link.here[1] = Node(True, "now", 0.0)
        return [reply("m1", orders["south"], "south", toy_state(1))]

    link = ToyLink([back, lambda link: [reply("m2", orders["north"], "north", toy_state(2))]])
    answers = list(fleet_of(link).ask(orders, 30.0))
    assert [answer.site_id for answer in answers] == ["south", "north"]
    assert [node for _, node in link.sent] == [1, 2, 1]


def test_a_site_that_stays_away_is_given_up_before_the_deadline(
    fleet_of: Any, orders: dict[str, TrainOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETURN", 0.02)

    def goes(link: ToyLink) -> list[Incoming]:
        link.here[1] = Node(False, "then", 0.0)
        return [Incoming("m0", None, "gone", True, 0), reply("m1", orders["south"], "south", toy_state(1))]

    answers = list(fleet_of(ToyLink([goes])).ask(orders, 3000.0))
    assert [(answer.site_id, answer.error) for answer in answers] == [("south", None), ("north", "Disconnected")]


def test_a_run_that_flower_ended_is_opened_again_with_all_orders_that_wait(
    fleet_of: Any, orders: dict[str, TrainOrder]
) -> None:
    def lost(link: ToyLink) -> list[Incoming]:
        raise RunLost

    replies = [reply("m2", orders["north"], "north", toy_state(1)), reply("m3", orders["south"], "south", toy_state(1))]
    link = ToyLink([lost, lambda link: replies])
    assert [answer.site_id for answer in fleet_of(link).ask(orders, 30.0)] == ["north", "south"]
    assert link.runs == 1


def test_a_flower_that_ends_every_run_stops_the_server_in_one_sentence(fleet_of: Any, orders: dict[str, TrainOrder]) -> None:
    link = ToyLink()
    link.lose = 5
    with pytest.raises(RunError, match="start the server again"):
        list(fleet_of(link).ask(orders, 30.0))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("ValueError", "ValueError"),
        ("PolicyRefused:max_rounds", "PolicyRefused:max_rounds"),
        ("a patient's words", "unknown"),
        ("", "unknown"),
        ("x" * 200, "unknown"),
        ("<script>", "unknown"),
    ],
)
def test_of_a_sites_error_only_a_code_is_kept(fleet_of: Any, orders: dict[str, TrainOrder], said: str, kept: str) -> None:
    link = ToyLink([lambda link: [Incoming("m0", None, said, False, 1)]])
    assert next(iter(fleet_of(link).ask(orders, 5.0))).error == kept


def test_a_key_that_comes_while_the_server_runs_is_let_in(fleet_of: Any, tmp_path: Path) -> None:
    link = ToyLink()
    fleet = fleet_of(link)
    (tmp_path / "west.pub").write_text("west")
    assert "west" not in fleet.connected()
    fleet.refresh()
    assert "west" in fleet.connected()
    (tmp_path / "west.pub").unlink()
    fleet.refresh()
    assert "west" not in fleet.connected()
    assert b"west" not in link.admitted


def test_a_key_that_goes_ends_its_connection_and_its_order_even_if_the_run_is_lost_too(
    fleet_of: Any, tmp_path: Path, orders: dict[str, TrainOrder]
) -> None:
    def revoked(link: ToyLink) -> list[Incoming]:
        (tmp_path / "south.pub").unlink()
        fleet.refresh()
        raise RunLost

    link = ToyLink([revoked, lambda link: [reply("m2", orders["north"], "north", toy_state(1))]])
    fleet = fleet_of(link)
    answers = {answer.site_id: answer.error for answer in fleet.ask(orders, 30.0)}
    assert answers == {"north": None, "south": "KeyRemoved"}
    assert link.dismissed == [2]


def test_a_site_is_known_by_its_key_and_not_by_its_name(fleet_of: Any, tmp_path: Path) -> None:
    fleet = fleet_of(ToyLink())
    first = fleet.key_of("north")
    assert first is not None
    assert len(first) == 64
    assert fleet.key_of("west") is None
    (tmp_path / "north.pub").write_text("a new key of north")
    fleet.refresh()
    assert fleet.key_of("north") not in (None, first)
