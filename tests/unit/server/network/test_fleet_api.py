"""The Fleet API: a reply is taken only while its order is out, and never more of it than the order allows."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MessageType, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import PullMessagesRequest, PushMessagesRequest, PushMessagesResponse
from flwr.proto.message_pb2 import ObjectTree, PushObjectRequest, PushObjectResponse
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_id, get_object_tree
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.servicer.fleet import fleet_handlers

from server.network import fleet_api as module
from server.network.fleet_api import FLEET, PUSH_OBJECT, FleetApi
from shared.wire.parts import Bound, packets

KEY = b"key of north"
NODE = Node(node_id=7)
BOUND = Bound(4096, 4096)


class State:
    """Flower's state, as far as the API asks for it here."""

    def get_node_id_by_public_key(self, key: bytes) -> int | None:
        return 7 if key == KEY else None


def ask(api: FleetApi, path: str, request: Any, key: bytes = KEY) -> tuple[int, bytes]:
    events: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"body": request if isinstance(request, bytes) else request.SerializeToString()}

    async def send(event: dict[str, Any]) -> None:
        events.append(event)

    asyncio.run(api({"type": "http", "path": path, "hushtune.key": key}, receive, send))
    return events[0]["status"], events[1]["body"]


@pytest.fixture
def api() -> FleetApi:
    found = FleetApi(State)
    found.expect(KEY, "order", BOUND)
    return found


def reply(numbers: int = 10, text: str = "") -> Message:
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 5, 7
    record = RecordDict({"header": ConfigRecord({"text": text})})
    record["arrays"] = ArrayRecord({"numbers": Array(np.zeros(numbers, dtype=np.float32))})
    return Message(record, 1, MessageType.TRAIN)


def announced(api: FleetApi, message: Message, tree: Any = None, to: str = "order") -> tuple[int, Any]:
    header = message_to_proto(remove_content_from_message(message) if message.has_content() else message)
    header.metadata.reply_to_message_id = to
    trees = [tree or get_object_tree(message)]
    status, body = ask(
        api, f"{FLEET}push-messages", PushMessagesRequest(node=NODE, messages_list=[header], message_object_trees=trees)
    )
    return status, PushMessagesResponse.FromString(body)


def pushed(api: FleetApi, content: bytes) -> tuple[int, bool]:
    request = PushObjectRequest(node=NODE, run_id=5, object_content=b"".join(packets([content])))
    status, body = ask(api, PUSH_OBJECT, request)
    return status, PushObjectResponse.FromString(body).stored


def parts(message: Message) -> dict[str, bytes]:
    return {name: part.deflate() for name, part in get_all_nested_objects(message).items()}


def test_a_reply_is_taken_when_its_last_part_has_come(api: FleetApi) -> None:
    message = reply()
    status, answer = announced(api, message)
    pieces = parts(message)
    assert (status, set(answer.objects_to_push)) == (200, set(pieces))
    for content in pieces.values():
        assert api.take(KEY, "order") is None
        assert pushed(api, content) == (200, True)
    found = api.take(KEY, "order")
    assert found is not None
    content_of, error, size = found
    assert content_of is not None
    assert (content_of["header"]["text"], error, size) == ("", None, sum(map(len, pieces.values())))
    assert api.take(KEY, "order") is None


def test_an_error_comes_with_its_header(api: FleetApi) -> None:
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 5, 7
    order = reply()
    order.metadata.__dict__["_message_id"] = "order"
    announced(api, Message(Error(3, "Declined"), reply_to=order))
    assert api.take(KEY, "order") == (None, "Declined", 0)


def crowded(names: int) -> ObjectTree:
    return ObjectTree(object_id="0" * 64, children=[ObjectTree(object_id=f"{i:064x}") for i in range(names)])


def deep(names: int) -> ObjectTree:
    tree = ObjectTree(object_id="f" * 64)
    for i in range(names):
        tree = ObjectTree(object_id=f"{i:064x}", children=[tree])
    return tree


@pytest.mark.parametrize("tree", [crowded(10_000), deep(80)])
def test_a_tree_with_more_parts_than_a_reply_is_refused_and_ends_the_reply(api: FleetApi, tree: ObjectTree) -> None:
    assert announced(api, reply(), tree)[0] == 413
    assert announced(api, reply())[1].objects_to_push == []


def test_more_bytes_than_the_order_allows_are_refused_while_they_come(api: FleetApi) -> None:
    message = reply(4000)
    announced(api, message)
    assert max(pushed(api, content)[0] for content in parts(message).values()) == 413
    assert api.take(KEY, "order") is None


def named_often(times: int) -> tuple[Message, dict[str, bytes]]:
    """Return a reply whose array names its only chunk ``times`` times: few bytes on the wire, many in memory."""
    message = reply(500)
    array: Any = message.content["arrays"]["numbers"]
    original = array.deflate()
    head, body = original.split(b"\x00", 1)
    said = json.loads(body)
    said["arraychunk_ids"] = [0] * times
    body = json.dumps(said).encode()
    kind, children, _ = head.decode().split(" ")
    swapped = f"{kind} {children} {len(body)}".encode() + b"\x00" + body
    pieces = parts(message)
    renamed = {get_object_id(original): get_object_id(swapped)}
    done = {get_object_id(swapped): swapped}
    for content in pieces.values():
        if content == original:
            continue
        changed = content
        for old, new in renamed.items():
            changed = changed.replace(old.encode(), new.encode())
        if changed != content:
            renamed[get_object_id(content)] = get_object_id(changed)
        done[get_object_id(changed)] = changed
    root = next(name for name, content in done.items() if content.startswith(b"Message "))
    return message, {name: content for name, content in done.items() if name != root} | {root: done[root]}


def test_a_chunk_that_is_named_many_times_is_never_inflated(api: FleetApi, monkeypatch: pytest.MonkeyPatch) -> None:
    message, pieces = named_often(400)
    root = list(pieces)[-1]
    tree = ObjectTree(object_id=root, children=[ObjectTree(object_id=name) for name in list(pieces)[:-1]])
    assert announced(api, message, tree)[0] == 200
    assert all(pushed(api, content) == (200, True) for content in pieces.values())
    inflated = list[str]()
    monkeypatch.setattr("shared.wire.parts.inflate_object_from_contents", lambda name, *_: inflated.append(name))
    found = api.take(KEY, "order")
    assert found is not None
    assert found[1] == "MessageError"
    assert not inflated


def test_a_header_of_the_size_of_the_arrays_is_refused() -> None:
    api = FleetApi(State)
    api.expect(KEY, "order", Bound(2**20, 4096))
    message = reply(text="x" * 100_000)
    announced(api, message)
    assert all(pushed(api, content)[0] == 200 for content in parts(message).values())
    found = api.take(KEY, "order")
    assert found is not None
    assert found[1] == "MessageError"


@pytest.mark.parametrize("spoil", [lambda api: api.drop(KEY), lambda api: api.forget("order")])
def test_nothing_is_taken_of_a_site_without_an_order(api: FleetApi, spoil: Callable[[FleetApi], None]) -> None:
    message = reply()
    announced(api, message)
    spoil(api)
    assert {pushed(api, content) for content in parts(message).values()} == {(200, False)}
    assert announced(api, message)[1].objects_to_push == []


def test_a_reply_to_another_order_and_a_second_reply_are_not_wanted(api: FleetApi) -> None:
    assert announced(api, reply(), to="another")[1].objects_to_push == []
    assert announced(api, reply())[1].objects_to_push
    assert announced(api, reply(20))[1].objects_to_push == []


def test_a_part_that_was_not_announced_or_has_another_name_is_not_kept(api: FleetApi) -> None:
    message = reply()
    announced(api, message)
    assert pushed(api, b"ArrayChunk  3\x00abc") == (200, False)
    wrong = PushObjectRequest(node=NODE, object_id=next(iter(parts(message))), object_content=b"".join(packets([b"other"])))
    assert not PushObjectResponse.FromString(ask(api, PUSH_OBJECT, wrong)[1]).stored
    cut = PushObjectRequest(node=NODE, object_content=b"".join(packets(parts(message).values()))[:-1])
    assert ask(api, PUSH_OBJECT, cut)[0] == 413


def test_one_site_cannot_speak_for_the_node_of_another(api: FleetApi) -> None:
    assert ask(api, f"{FLEET}pull-messages", PullMessagesRequest(node=Node(node_id=8)))[0] == 401
    assert ask(api, f"{FLEET}pull-messages", PullMessagesRequest(node=NODE), key=b"stranger")[0] == 401


@pytest.mark.parametrize("path", sorted(module.PATHS))
def test_garbage_is_answered_and_ends_nothing(api: FleetApi, path: str) -> None:
    assert ask(api, path, b"\xff\xff garbage")[0] in (400, 401)
    assert ask(api, path, b"")[0] in (400, 401)


@pytest.mark.parametrize(
    "name",
    ["activate_node", "deactivate_node", "send_node_heartbeat", "pull_messages", "pull_object", "confirm_message_received"],
)
def test_flower_has_the_functions_that_we_call(name: str) -> None:
    assert callable(getattr(fleet_handlers, name))
