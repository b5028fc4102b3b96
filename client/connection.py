"""The site's connection to Flower's Fleet API; the only module of the client that uses Flower's internals.

One process pulls messages and runs installed code on them. It never requests a code bundle, so code that a server offers is
neither downloaded nor run.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from flwr.app import Context, Error, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.app.metadata import Metadata
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import ActivateNodeRequest, DeactivateNodeRequest, PullMessagesRequest, PushMessagesRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, PullObjectRequest, PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree, no_object_id_recompute
from flwr.supercore.task_identity import TaskIdentity

from client.fleet_client import ForeignAnswer
from client.lost_server import HEARTBEAT, ServerGone, certificate_flaw, refusal, unreachable
from client.outward_codes import outward_code
from client.server_access import ServerAccess
from shared.errors import ConnectionRefused, MessageError
from shared.identity.request_signature import public_bytes
from shared.wire.parts import packets, pull

BEAT = 4.0  # seconds between heartbeats
POLL = 0.2  # seconds between requests for messages, at least; a server that has none holds the request for longer


class Connection:
    """A site's session with its server, from activation to the end of a ``with`` block."""

    def __init__(self, access: ServerAccess, session: Path) -> None:
        self._access, self._session = access, session
        self._client = access.client()
        self._ended = threading.Event()
        self._node = Node(node_id=0)
        self._silent = False

    def __enter__(self) -> "Connection":
        """Connect to the server.

        Raises
        ------
        ConnectionRefused
            The server refused the site; retrying would not help.
        ServerGone
            The server does not answer, or cannot take the site now; try again later.
        """
        try:
            self._leave(self._last_node())  # left by a killed process; Flower would refuse a second activation
            key = public_bytes(self._access.key.public_key())
            answer = self._call(
                self._client.ActivateNode, ActivateNodeRequest(public_key=key, heartbeat_interval=HEARTBEAT), connecting=True
            )
        except BaseException:
            self._client.close()
            raise
        self._node = Node(node_id=answer.node_id)
        self._session.write_text(str(answer.node_id), encoding="ascii")
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._leave(self._node.node_id)
        self._client.close()

    def messages(self) -> Iterator[Message | None]:
        """Yield each message when it arrives, and None whenever the server has none.

        Raises
        ------
        ServerGone
            The server does not answer, or has forgotten this connection; connect again.
        ConnectionRefused
            The server's certificate is not accepted.
        """
        while True:
            if self._silent:
                raise ServerGone
            asked = time.monotonic()
            found = self._call(self._client.PullMessages, PullMessagesRequest(node=self._node))
            for header, tree in zip(found.messages_list, found.message_object_trees, strict=True):
                message = self._fetch(header.metadata.run_id, tree)
                if message is not None:
                    yield message
            if not found.messages_list:
                yield None
                time.sleep(max(0.0, asked + POLL - time.monotonic()))

    def answer(self, app: ClientApp, message: Message) -> None:
        """Run the installed app on a message and send its reply.

        Raises
        ------
        ServerGone
            Connect again; the server will repeat the order.
        """
        metadata = message.metadata
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, metadata.run_id, self._node.node_id
        context = Context(
            run_id=metadata.run_id,
            node_id=self._node.node_id,
            node_config={},
            state=RecordDict(),
            run_config={},
            series_id=0,
        )
        try:
            reply = app(message, context)
        except Exception as error:  # no text of any error may leave the site
            reply = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, outward_code(error)), reply_to=message)
        self._send(reply, metadata)

    def _fetch(self, run_id: int, tree: Any) -> Message | None:
        """Return the message of an object tree; None for a withdrawn or malformed one, because neither may stop a site."""

        def fetch(names: str) -> bytes:
            answer = self._call(self._client.PullObject, PullObjectRequest(node=self._node, run_id=run_id, object_id=names))
            if not answer.object_found:
                raise MessageError("order: was withdrawn before all of its parts came")
            return bytes(answer.object_content)

        try:
            message = pull(tree, self._access.bound, fetch)
        except MessageError:
            return None
        request = ConfirmMessageReceivedRequest(node=self._node, run_id=run_id, message_object_id=tree.object_id)
        self._call(self._client.ConfirmMessageReceived, request)
        message.metadata.__dict__["_message_id"] = tree.object_id
        return message

    def _send(self, reply: Message, order: Metadata) -> None:
        """Send a reply without the time of its creation and the duration of the work."""
        run_id = reply.metadata.run_id
        reply.metadata.created_at, reply.metadata.ttl = order.created_at, order.ttl
        reply.metadata.__dict__["_message_id"] = reply.object_id
        header = remove_content_from_message(reply) if reply.has_content() else reply
        with no_object_id_recompute():
            request = PushMessagesRequest(
                node=self._node,
                messages_list=[message_to_proto(header)],
                message_object_trees=[get_object_tree(reply)],
                clientapp_runtime_list=[0.0],
            )
            accepted = self._call(self._client.PushMessages, request)
            parts = get_all_nested_objects(reply)
            wanted = (part.deflate() for name, part in parts.items() if name in set(accepted.objects_to_push))
            for body in packets(wanted):
                request = PushObjectRequest(
                    node=self._node, run_id=run_id, object_content=body, session_id=accepted.session_id
                )
                if not self._call(self._client.PushObject, request).stored:
                    return  # the round is over, or the server has these parts already

    def _call(self, method: Any, request: Any, connecting: bool = False) -> Any:
        """Make one request; raise ``ServerGone`` if a later attempt may succeed, else ``ConnectionRefused``."""
        try:
            return method(request)
        except ForeignAnswer as error:
            raise ServerGone(
                f"{self._access.address}: what answers there is no hushtune server ({error}); check server.address, and "
                "proxies on the way",
                "foreign_answer",
            ) from error
        except httpx.HTTPStatusError as error:
            if connecting:
                raise refusal(self._access, error.response.status_code) from error
            status = error.response.status_code
            raise ServerGone(f"{self._access.address}: answered with status {status}", f"status_{status}") from error
        except httpx.TransportError as error:
            if (flaw := certificate_flaw(error)) is not None:
                raise ConnectionRefused(f"{self._access.address}: its certificate {flaw}") from error
            if (
                connecting
                and self._access.authority is None
                and isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
            ):
                raise ConnectionRefused(f"{self._access.address}: accepts only TLS; start without --insecure") from error
            raise ServerGone(unreachable(self._access.address, error), "unreachable") from error

    def _leave(self, node_id: int) -> None:
        if node_id:
            with suppress(httpx.HTTPError, ValueError):  # the server has gone, so there is nothing to leave
                self._client.DeactivateNode(DeactivateNodeRequest(node_id=node_id))

    def _last_node(self) -> int:
        try:
            return int(self._session.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def _beat(self) -> None:
        """Send heartbeats to the server, also during training."""
        with self._access.client() as client:
            while not self._ended.wait(BEAT):
                try:
                    self._silent = not client.SendNodeHeartbeat(
                        SendNodeHeartbeatRequest(node=self._node, heartbeat_interval=HEARTBEAT)
                    ).success
                except (httpx.HTTPStatusError, ForeignAnswer):
                    self._silent = True
                except httpx.TransportError:
                    continue
