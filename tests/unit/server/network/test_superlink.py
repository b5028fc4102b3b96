"""What this project takes from Flower's internals on the server's side; each line fails alone when Flower moves it."""

import dataclasses
import inspect
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, RecordDict
from flwr.server.superlink.linkstate import LinkState
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.superlink.config_loader import SuperLinkLifespanConfig
from flwr.superlink.main import create_app

from server.network import superlink
from server.network.superlink import Link, RunLost, node_key
from shared.errors import ConfigError
from shared.identity.keys import new_key, public_line


def arguments(function: object) -> set[str]:
    return set(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_flower_is_the_version_whose_internals_are_used() -> None:
    from importlib.metadata import version

    assert version("flwr") == "1.41.0"


def test_the_superlink_takes_the_settings_that_we_give() -> None:
    given = dataclasses.asdict(superlink._settings(b"secret"))
    assert set(given) == {field.name for field in dataclasses.fields(SuperLinkLifespanConfig)}
    assert arguments(create_app) == {"config", "superlink_lifespan_class"}
    assert given["enable_supernode_auth"]
    assert not given["runtime_dependency_install"]
    assert given["isolation"] == "process"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("create_node", {"owner_aid", "owner_name", "public_key", "heartbeat_interval"}),
        ("get_node_info", {"node_ids"}),
        ("start_session", {"run_id"}),
        ("store_message_and_object_tree", {"message", "object_tree", "session_id"}),
        ("store_object", {"run_id", "session_id", "object_id"}),
        ("get_node_id_by_public_key", {"public_key"}),
        ("activate_node", {"node_id", "heartbeat_interval"}),
        ("deactivate_node", {"node_id"}),
        ("delete_messages", {"message_ins_ids"}),
    ],
)
def test_the_link_state_has_what_we_call(name: str, expected: set[str]) -> None:
    assert expected <= arguments(getattr(LinkState, name))


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (ControlHttpClient, ("StartRun",)),
        (RuntimeHttpClient, ("AcquireTask", "PullTaskInput", "PushTaskOutput", "SendTaskHeartbeat")),
        (HeartbeatSender, ("start", "stop", "is_running")),
    ],
)
def test_flowers_clients_have_what_we_call(kind: type, names: tuple[str, ...]) -> None:
    assert not [name for name in names if not hasattr(kind, name)]


def test_the_bundle_that_flower_wants_holds_no_code() -> None:
    assert set(superlink.ENVELOPE) == {"pyproject.toml", "LICENSE"}
    assert superlink.build_fab_from_files(superlink.ENVELOPE)


def test_our_retries_send_no_signals_and_end() -> None:
    import httpx

    invoker = superlink._patient()
    tried = []

    def refused() -> None:
        tried.append(1)
        raise httpx.HTTPStatusError("401", request=httpx.Request("POST", "http://x"), response=httpx.Response(401))

    with pytest.raises(httpx.HTTPStatusError):
        invoker.invoke(refused)
    assert tried == [1]  # Flower's own invoker would send SIGINT to this process


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pub").write_text("ssh-ed25519 AAAA nothing")
    with pytest.raises(ConfigError):
        node_key(tmp_path / "a.pub")


@pytest.fixture
def link() -> Iterator[Link]:
    port = socket.create_server(("127.0.0.1", 0))
    link = Link(port, None, None)
    try:
        link.start()
        yield link
    finally:
        link.close()
        port.close()


def test_a_lost_run_is_noticed_and_a_new_one_takes_messages(link: Link, tmp_path: Path) -> None:
    (tmp_path / "north.pub").write_text(public_line(new_key().public_key(), "north"))
    node = link.register(node_key(tmp_path / "north.pub"))
    assert [each.online for each in link.nodes().values()] == [False]
    link._state.activate_node(node, 10)
    assert [each.online for each in link.nodes().values()] == [True]
    link._state.deactivate_node(node)
    record = RecordDict({"header": ConfigRecord({"round": 1})})
    message_id, size = link.push(node, record, 60.0)
    assert size > 20
    assert [incoming.away for incoming in link.pull([message_id])] == [True]  # nobody is there to take it
    link._lost.set()
    with pytest.raises(RunLost):
        link.push(node, record, 60.0)
    link.open_run()
    again, _ = link.push(node, record, 60.0)
    assert again != message_id
    link.forget([again])
