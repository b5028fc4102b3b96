"""The site's connection to Flower's Fleet API; the only module of the client that uses Flower's internals.

One process pulls messages and runs installed code on them. It never requests a code bundle, so code that a server offers is
neither downloaded nor run.
"""

import ssl
import threading
import time
from collections.abc import Iterator, Mapping
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
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, PullObjectRequest, PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree, no_object_id_recompute
from flwr.supercore.task_identity import TaskIdentity

from client.fleet_client import ForeignAnswer, SignedClient
from shared.errors import ConfigError, ConnectionRefused, DataError, Declined, HushtuneError, MessageError
from shared.identity.keys import exposed, read_private
from shared.identity.request_signature import WINDOW, public_bytes, signed_headers
from shared.wire.parts import SMALL, Bound, packets, pull

HEARTBEAT = 10.0  # seconds; Flower drops a node that is silent for two of these intervals
BEAT = 4.0  # seconds between heartbeats
POLL = 0.2  # seconds between requests for messages, at least; a server that has none holds the request for longer
NOT_ISSUED = "was not issued by the authority in server.ca; ask the operator for the right ca.crt, and check the address"
WRONG_HOST = "is for another name than this address; correct server.address, or ask the operator for one with this name"
CERTIFICATE_FLAWS: Mapping[int, str] = {  # by OpenSSL's number (X509_V_ERR_...)
    9: "is not valid yet; check the clock of this machine",
    10: "has expired; check the clock of this machine, and ask the operator to renew the certificate",
    62: WRONG_HOST,
    64: WRONG_HOST,
}
LARGEST = 50_000_000  # parameters of an adapter that are accepted where SITE.toml says nothing else


class ServerGone(Exception):
    """The server does not answer, or does not know this connection any more; connect again. The text says why, if known.

    ``code`` is the reason as a short name, for the log.
    """

    def __init__(self, reason: str = "", code: str = "ended") -> None:
        super().__init__(reason)
        self.code = code


class IdentityInUse(ServerGone):
    """The server knows a connection of this site: of another client, or one that it has not given up yet."""


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
    parameters : int
        Largest number of parameters of an adapter that the site accepts; bounds what it reads of an order.
    """

    site_id: str
    address: str
    authority: bytes | None
    key: ec.EllipticCurvePrivateKey
    parameters: int = LARGEST

    @classmethod
    def from_files(cls, site_id: str, address: str, ca: Path | None, key: Path, parameters: int) -> "Door":
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
        parameters : int
            Largest number of parameters of an adapter that the site accepts.

        Raises
        ------
        ConfigError
            A file cannot be read, is something else, or others may read the key.
        """
        own = read_private(key)
        for flaw in exposed(key):
            raise ConfigError(str(flaw))
        return cls(site_id, address, _authority(ca) if ca else None, own, parameters)

    def client(self) -> SignedClient:
        """Return a client of Flower's Fleet API that signs its requests."""
        return SignedClient(
            self.address, self.authority, lambda path, body: signed_headers(self.key, self.site_id, "POST", path, body)
        )

    @property
    def bound(self) -> Bound:
        """Return the largest accepted order: an adapter of float32 numbers, and a header with config and names."""
        return Bound(4 * self.parameters + SMALL, 4 * SMALL)


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
            key = public_bytes(self._door.key.public_key())
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

        def fetch(names: str) -> bytes:
            answer = self._call(self._client.PullObject, PullObjectRequest(node=self._node, run_id=run_id, object_id=names))
            if not answer.object_found:
                raise MessageError("order: was withdrawn before all of its parts came")
            return bytes(answer.object_content)

        try:
            message = pull(tree, self._door.bound, fetch)
        except MessageError:
            return None
        request = ConfirmMessageReceivedRequest(node=self._node, run_id=run_id, message_object_id=tree.object_id)
        self._call(self._client.ConfirmMessageReceived, request)
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
            parts = get_all_nested_objects(reply)
            wanted = (part.deflate() for name, part in parts.items() if name in set(accepted.objects_to_push))
            for body in packets(wanted):
                request = PushObjectRequest(
                    node=self._node, run_id=run_id, object_content=body, session_id=accepted.session_id
                )
                if not self._call(self._client.PushObject, request).stored:
                    return  # the round is over, or the server has these parts already

    def _call(self, method: Any, request: Any, connecting: bool = False) -> Any:
        """Make one request; a network error or a restarted server raises ``ServerGone``."""
        try:
            return method(request)
        except ForeignAnswer as error:
            raise ServerGone(
                f"{self._door.address}: what answers there is no hushtune server ({error}); check server.address, and "
                "proxies on the way",
                "foreign_answer",
            ) from error
        except httpx.HTTPStatusError as error:
            if connecting:
                raise _refusal(self._door, error.response.status_code) from error
            status = error.response.status_code
            raise ServerGone(f"{self._door.address}: answered with status {status}", f"status_{status}") from error
        except httpx.TransportError as error:
            if (flaw := _certificate_flaw(error)) is not None:
                raise ConnectionRefused(f"{self._door.address}: its certificate {flaw}") from error
            if (
                connecting
                and self._door.authority is None
                and isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
            ):
                raise ConnectionRefused(f"{self._door.address}: accepts only TLS; start without --insecure") from error
            raise ServerGone(_unreachable(self._door.address, error), "unreachable") from error

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
                except (httpx.HTTPStatusError, ForeignAnswer):
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
    if status == 409:
        return IdentityInUse(
            f"{door.address}: another client is connected with the identity of site {door.site_id}, or was killed less than "
            f"{2 * HEARTBEAT:.0f} s ago; stop it",
            "identity_in_use",
        )
    if status == 412:
        return ServerGone(
            f"{door.address}: the clock of this machine and the server's differ by more than {WINDOW:.0f} s; set the clock",
            "clock",
        )
    return ServerGone(f"{door.address}: answered with status {status}", f"status_{status}")


def _unreachable(address: str, error: httpx.TransportError) -> str:
    """Return why a server cannot be reached: the reason of the system where there is one."""
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.strerror):
        cause = cause.__cause__ or cause.__context__
    reason = cause.strerror if isinstance(cause, OSError) else "no answer in time, or the connection was closed"
    return f"{address}: cannot be reached ({reason})"


def _certificate_flaw(error: httpx.TransportError) -> str | None:
    """Return why TLS refused the server's certificate, and what to do; None if TLS failed for another reason."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CERTIFICATE_FLAWS.get(getattr(cause, "verify_code", 0), NOT_ISSUED)
        cause = cause.__cause__ or cause.__context__
    return None


def _authority(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        ssl.create_default_context(cadata=content.decode("ascii"))
    except (OSError, ValueError, ssl.SSLError) as error:
        raise ConfigError(f"{path}: not a readable PEM certificate; ask the operator for ca.crt") from error
    return content
