"""The site's connection to Flower's Fleet API; the only module of the client that uses Flower's internals.

One process pulls messages and runs installed code on them. It never requests a code bundle, so code that a server offers is
neither downloaded nor run.
"""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Context, Error, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.app.metadata import Metadata
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import ActivateNodeRequest, DeactivateNodeRequest, PullMessagesRequest, PushMessagesRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree, no_object_id_recompute
from flwr.supercore.inflatable.inflatable_protobuf_utils import make_pull_object_fn_protobuf, make_push_object_fn_protobuf
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    ObjectPushError,
    pull_and_inflate_object_from_tree,
    push_objects,
)
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from shared.errors import ConfigError, ConnectionRefused, DataError, Declined, HushtuneError
from shared.identity.keys import exposed, read_private

HEARTBEAT = 10.0  # seconds; Flower drops a node that is silent for two of these intervals
BEAT = 4.0  # seconds between heartbeats
POLL = 0.2  # seconds between requests for messages, at least; a server that has none holds the request for longer
SITE_HEADER = "x-hushtune-site"


class ServerGone(Exception):
    """The server does not answer, or does not know this connection any more; connect again."""


class _Introduce:
    """Adds the site's name to each request; the server compares it with the key."""

    def __init__(self, site_id: str) -> None:
        self._site_id = site_id

    def intercept(self, context: Any, call_next: Any) -> Any:
        """Add the header."""
        context.request.headers[SITE_HEADER] = self._site_id
        return call_next(context)


@dataclass(frozen=True)
class Door:
    """How a site reaches its server and proves its identity.

    Attributes
    ----------
    site_id : str
        Name of the site.
    address : str
        Host:port of the server.
    authority : bytes | None
        Certificate of the authority in PEM; None means no TLS.
    key : ec.EllipticCurvePrivateKey
        Private key of the site.
    """

    site_id: str
    address: str
    authority: bytes | None
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def from_files(cls, site_id: str, address: str, ca: Path | None, key: Path) -> "Door":
        """Read the certificate of the authority and the site's key.

        Parameters
        ----------
        site_id : str
            Name of the site.
        address : str
            Host:port of the server.
        ca : Path | None
            Certificate file of the authority; None means no TLS, for a trial on one machine.
        key : Path
            Private key file of the site.

        Raises
        ------
        ConfigError
            A file cannot be read, is something else, or others may read the key.
        """
        own = read_private(key)
        for flaw in exposed(key):
            raise ConfigError(str(flaw))
        return cls(site_id, address, _authority(ca) if ca else None, own)

    def client(self) -> FleetHttpClient:
        """Return a client of Flower's Fleet API that signs its requests."""
        interceptors: list[Any] = [
            RuntimeVersionHttpInterceptor(component_name="SuperNode"),
            NodeAuthHttpInterceptor(self.key, self.key.public_key()),
            _Introduce(self.site_id),
        ]
        return FleetHttpClient.from_server_address(self.address, self.authority is None, self.authority, interceptors)


class Connection:
    """A site's session with its server, from activation to the end of a ``with`` block."""

    def __init__(self, door: Door, session: Path) -> None:
        self._door, self._session = door, session
        self._client = door.client()
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
            The server did not answer.
        """
        try:
            self._leave(self._last_node())  # left by a killed process; Flower would refuse a second activation
            key = public_key_to_bytes(self._door.key.public_key())
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
        """Yield each message when it arrives, and None each time there is none.

        Raises
        ------
        ServerGone
            Connect again.
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

        Parameters
        ----------
        app : ClientApp
            App that carries out orders.
        message : Message
            Message from the server.

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
        """Return the message of an object tree; None if it was withdrawn or is not a message, which must not end a site."""
        pull = make_pull_object_fn_protobuf(lambda request: self._call(self._client.PullObject, request), self._node, run_id)

        def confirm(object_id: str) -> None:
            request = ConfirmMessageReceivedRequest(node=self._node, run_id=run_id, message_object_id=object_id)
            self._call(self._client.ConfirmMessageReceived, request)

        try:
            message: Message = pull_and_inflate_object_from_tree(tree, pull, confirm, return_type=Message)
        except (ObjectPullError, ValueError, TypeError, KeyError):
            return None
        message.metadata.__dict__["_message_id"] = tree.object_id
        return message

    def _send(self, reply: Message, order: Metadata) -> None:
        """Send a reply without the time at which it was made or how long that took."""
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
            push = make_push_object_fn_protobuf(
                lambda part: self._call(self._client.PushObject, part), self._node, run_id, accepted.session_id
            )
            with suppress(ObjectPushError):  # the round is over, or the server has these objects already
                push_objects(get_all_nested_objects(reply), push, object_ids_to_push=set(accepted.objects_to_push))

    def _call(self, method: Any, request: Any, connecting: bool = False) -> Any:
        """Make one request; a network error or a restarted server raises ``ServerGone``."""
        try:
            return method(request)
        except httpx.HTTPStatusError as error:
            if connecting:
                raise _refusal(self._door, error.response.status_code) from error
            raise ServerGone from error
        except httpx.TransportError as error:
            if _is_certificate(error):
                raise ConnectionRefused(
                    f"{self._door.address}: its certificate was not issued by the authority in server.ca; ask the operator "
                    "for the right ca.crt, and check the address"
                ) from error
            if (
                connecting
                and self._door.authority is None
                and isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
            ):
                raise ConnectionRefused(f"{self._door.address}: accepts only TLS; start without --insecure") from error
            raise ServerGone from error

    def _leave(self, node_id: int) -> None:
        if not node_id:
            return
        try:
            self._client.DeactivateNode(DeactivateNodeRequest(node_id=node_id))
        except (httpx.HTTPError, ValueError):
            self._silent = False  # the server has gone, so there is nothing to leave

    def _last_node(self) -> int:
        try:
            return int(self._session.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def _beat(self) -> None:
        """Send heartbeats to the server, also during training."""
        with self._door.client() as client:
            while not self._ended.wait(BEAT):
                try:
                    self._silent = not client.SendNodeHeartbeat(
                        SendNodeHeartbeatRequest(node=self._node, heartbeat_interval=HEARTBEAT)
                    ).success
                except httpx.HTTPStatusError:
                    self._silent = True
                except httpx.TransportError:
                    continue


def reason_code(error: BaseException) -> str:
    """Return an error without its text: its class, and the field of SITE.toml if it has one.

    Parameters
    ----------
    error : BaseException
        Any error.
    """
    field = getattr(error, "field", None)
    return f"{type(error).__name__}:{field}" if isinstance(field, str) else type(error).__name__


def outward_code(error: Exception) -> str:
    """Return what a server may learn of an error.

    Parameters
    ----------
    error : Exception
        Any error.

    Returns
    -------
    str
        The error's code if no record can have influenced it, else the same word for all errors.
    """
    return reason_code(error) if isinstance(error, HushtuneError) and not isinstance(error, DataError) else Declined.__name__


def _refusal(door: Door, status: int) -> Exception:
    if status == 401:
        return ConnectionRefused(
            f"{door.address}: the server does not know this site's key; ask the operator to put {door.site_id}.pub into its "
            "sites folder"
        )
    if status == 403:
        return ConnectionRefused(
            f"{door.address}: the key of server.key belongs to another site than '{door.site_id}'; use this site's own key"
        )
    if status in (502, 503, 504):
        return ServerGone()
    return ConnectionRefused(
        f"{door.address}: another client is connected with the identity of site {door.site_id}, or was killed less than "
        f"{2 * HEARTBEAT:.0f} s ago; stop it, or try again"
    )


def _is_certificate(error: httpx.TransportError) -> bool:
    """Tell whether TLS failed because of the certificate."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _authority(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        ssl.create_default_context(cadata=content.decode("ascii"))
    except (OSError, ValueError, ssl.SSLError) as error:
        raise ConfigError(f"{path}: not a readable PEM certificate; ask the operator for ca.crt") from error
    return content
