"""Flower's Fleet API for admitted sites, answered from Flower's state without Flower's own web application.

Flower's application passes each request through ten layers and stores whatever a site pushes. Here the parts of a reply are
accepted only while an order to the site is unanswered, up to a size that follows from the order, and are freed with the
order.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flwr.app import RecordDict
from flwr.common.serde import message_from_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
    PushMessagesResponse,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    PullObjectRequest,
    PullObjectResponse,
    PushObjectRequest,
    PushObjectResponse,
)
from flwr.supercore.error import FlowerError
from flwr.superlink.servicer.fleet import fleet_handlers as flower

from server.network.held_requests import Receive, Scope, Send
from shared.errors import MessageError
from shared.wire.parts import CHUNK, LENGTH, PART, SMALL, Bound, Intake, inflate, packets, unpacked_parts

FLEET = "/v1/fleet/"
PUSH_OBJECT = f"{FLEET}push-object"
INLINE = 2**16  # bytes of a request that is worked on at once; a larger one is hashed in a thread of its own
CLOSE = (b"connection", b"close")
# By path, the type of the request and the function that answers it from Flower's state; replies are taken by `FleetApi`.
ASKS: Mapping[str, tuple[type[Any], Callable[[Any, Any], Any]]] = {
    f"{FLEET}activate-node": (ActivateNodeRequest, flower.activate_node),
    f"{FLEET}deactivate-node": (DeactivateNodeRequest, flower.deactivate_node),
    f"{FLEET}send-node-heartbeat": (SendNodeHeartbeatRequest, flower.send_node_heartbeat),
    f"{FLEET}pull-messages": (
        PullMessagesRequest,
        lambda request, state: flower.pull_messages(request, state, state.object_store),
    ),
    f"{FLEET}pull-object": (PullObjectRequest, lambda request, state: _parts_of_order(request, state)),
    f"{FLEET}confirm-message-received": (
        ConfirmMessageReceivedRequest,
        lambda request, state: flower.confirm_message_received(request, state, state.object_store),
    ),
}
PATHS = frozenset({*ASKS, f"{FLEET}push-messages", PUSH_OBJECT})


def largest(path: str) -> int:
    """Return the largest body of a request to a path, in bytes."""
    return PART if path == PUSH_OBJECT else SMALL


@dataclass
class _Reply:
    """The reply to an unanswered order: the parts that have arrived, limited by the bound of the order."""

    message_id: str
    intake: Intake
    parts: dict[str, bytes] = field(default_factory=dict)
    root: str = ""
    error: str | None = None
    complete: bool = False


class FleetApi:
    """An ASGI application that answers the requests of sites, each of which comes with the key that signed it.

    Any thread may call ``expect``, ``forget``, ``drop``, ``take`` and ``wait_for_reply``.

    Parameters
    ----------
    state
        Returns Flower's LinkState.
    """

    def __init__(self, state: Callable[[], Any]) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._replies: dict[bytes, _Reply] = {}
        self._arrived = threading.Event()

    def expect(self, key: bytes, message_id: str, bound: Bound) -> None:
        """Accept the reply to this order from now on, and no longer that to an earlier order to the same key."""
        with self._lock:
            self._replies[key] = _Reply(message_id, Intake(bound))

    def drop(self, key: bytes) -> None:
        """Accept no more from a key, and free the parts that have come from it."""
        with self._lock:
            self._replies.pop(key, None)

    def forget(self, message_id: str) -> None:
        """Accept the reply to an order no more, and free its parts."""
        with self._lock:
            self._replies = {key: each for key, each in self._replies.items() if each.message_id != message_id}

    def take(self, key: bytes, message_id: str) -> tuple[RecordDict | None, str | None, int] | None:
        """Return content, error and size of a reply that has arrived whole, and forget it; None while parts are missing."""
        with self._lock:
            reply = self._replies.get(key)
            if reply is None or reply.message_id != message_id or not reply.complete:
                return None
            del self._replies[key]
        if reply.error is not None:
            return None, reply.error, 0
        size = sum(map(len, reply.parts.values()))
        try:
            return inflate(reply.root, reply.parts, reply.intake.bound).content, None, size
        except Exception as error:  # whatever a site sends must not end the round
            return None, type(error).__name__, size

    def wait_for_reply(self, seconds: float) -> None:
        """Wait until a reply has arrived whole, at most ``seconds``; return at once if one came since the last call."""
        self._arrived.wait(seconds)
        self._arrived.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the filter has checked its path, its size and its signature."""
        body = (await receive()).get("body", b"")
        work = (scope["hushtune.key"], scope["path"], body)
        status, content = await asyncio.to_thread(self._answer, *work) if len(body) > INLINE else self._answer(*work)
        headers = [(b"content-type", b"application/x-protobuf"), (b"content-length", str(len(content)).encode())]
        await send(
            {"type": "http.response.start", "status": status, "headers": headers + ([CLOSE] if status == 413 else [])}
        )
        await send({"type": "http.response.body", "body": content})

    def _answer(self, key: bytes, path: str, body: bytes) -> tuple[int, bytes]:
        """Return the HTTP status and the body of the answer."""
        kind, ask = ASKS.get(path) or ((PushObjectRequest, None) if path == PUSH_OBJECT else (PushMessagesRequest, None))
        request, state = kind(), self._state()
        try:
            request.ParseFromString(body)
            if not _is_own(request, key, state):
                return 401, b""
            found = ask(request, state) if ask else self._receive_part(key, request)
            return 200, found.SerializeToString()
        except FlowerError:
            return 409, b""
        except MessageError:  # larger than a reply to this order may be
            self.drop(key)
            return 413, b""
        except Exception:  # whatever a site sends must not end the server; the text of the error is of no use to it
            return 400, b""

    def _receive_part(self, key: bytes, request: Any) -> Any:
        with self._lock:
            reply = self._replies.get(key)
            if isinstance(request, PushObjectRequest):
                return PushObjectResponse(stored=reply is not None and self._store(reply, request.object_content))
            header = request.messages_list[0]
            if reply is None or header.metadata.reply_to_message_id != reply.message_id or reply.root or reply.complete:
                return PushMessagesResponse()  # too late, or sent twice
            message = message_from_proto(header)
            if message.has_error():
                reply.error = str(message.error.reason)
                self._complete(reply)
                return PushMessagesResponse()
            tree = request.message_object_trees[0]
            wanted = reply.intake.announce(tree)
            reply.root = tree.object_id
            return PushMessagesResponse(objects_to_push=sorted(wanted), session_id=reply.message_id)

    def _store(self, reply: _Reply, body: bytes) -> bool:
        """Store the parts in a body, and notice the last part; return whether all of them were expected."""
        wanted = True
        for name, content in unpacked_parts(body).items():
            if name not in reply.intake.names or name in reply.parts:
                wanted = False
                continue
            reply.intake.count(len(content))
            reply.parts[name] = content
            if len(reply.parts) == len(reply.intake.names):
                self._complete(reply)
        return wanted

    def _complete(self, reply: _Reply) -> None:
        reply.complete = True
        self._arrived.set()


def _is_own(request: Any, key: bytes, state: Any) -> bool:
    """Return whether a request speaks for the node of the key that signed it."""
    if isinstance(request, ActivateNodeRequest):
        return bool(request.public_key == key)
    node_id = request.node_id if isinstance(request, DeactivateNodeRequest) else request.node.node_id
    return bool(state.get_node_id_by_public_key(key) == node_id)


def _parts_of_order(request: Any, state: Any) -> PullObjectResponse:
    """Return as many of the parts that a request names, with commas between them, as one answer carries.

    ``object_found`` says whether Flower knows any of them; a part that is known may still be on its way to Flower.
    """
    contents, room, known = list[bytes](), CHUNK, False
    for name in dict.fromkeys(request.object_id.split(",")):
        each = flower.pull_object(PullObjectRequest(node=request.node, run_id=request.run_id, object_id=name), state)
        known = known or each.object_found
        room -= LENGTH + len(each.object_content)
        if contents and room < 0:
            break
        if each.object_content:
            contents.append(each.object_content)
    return PullObjectResponse(object_found=known, object_content=b"".join(packets(contents)))
