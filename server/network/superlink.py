"""A Flower SuperLink inside this process; this module and `fleet_api` use Flower's internals, and no other of the server.

Two listeners share one SuperLink. The public one answers only the Fleet API, and only admitted keys. Flower's Control
and Runtime APIs, through which anyone who holds the CA file could register nodes and run code on a stock SuperLink, answer
only on a loopback port of this process. No code is sent to sites: the app bundle that Flower requires holds only metadata.
"""

import hashlib
import logging
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from flwr.app import Message, MessageType, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.cli.build import build_fab_from_files
from flwr.common.constant import NOOP_ACCOUNT_NAME, NOOP_FLWR_AID, SubStatus
from flwr.proto.control_pb2 import StartRunRequest
from flwr.proto.fab_pb2 import Fab
from flwr.proto.runtime_pb2 import AcquireTaskRequest, PullTaskInputRequest, PushTaskOutputRequest, SendTaskHeartbeatRequest
from flwr.supercore.constant import TaskType
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree, no_object_id_recompute
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.retry import RetryInvoker, exponential
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.auth_plugin import NoOpControlAuthnPlugin
from flwr.superlink.cli.flower_superlink import SuperLinkLifespan
from flwr.superlink.config_loader import SuperLinkLifespanConfig
from flwr.superlink.main import create_app

from server.network.app_bundle import ENVELOPE
from server.network.fleet_api import FleetApi
from server.network.ports import Listeners
from server.network.request_filter import RequestFilter
from shared.errors import RunError
from shared.identity.keys import read_public
from shared.identity.request_signature import public_bytes
from shared.wire.parts import Bound

IN_MEMORY = ":flwr-in-memory:"


class RunLost(Exception):
    """Flower ended its run, for example because this machine was suspended; open a new run and continue."""


@dataclass(frozen=True)
class Node:
    """The connection of a site as Flower reports it.

    ``since`` is the time of the last connection (ISO 8601, empty if never connected). ``online_until`` is the Unix time
    until which Flower counts the site as online without another heartbeat.
    """

    online: bool
    since: str
    online_until: float


@dataclass(frozen=True)
class Incoming:
    """A reply to one message: either its content or an error.

    ``away`` is true where Flower could not reach the site; ``size`` is the number of bytes received.
    """

    message_id: str
    content: RecordDict | None
    error: str | None
    away: bool
    size: int


def node_key(path: Path) -> bytes:
    """Read a site's public key from a file, in the encoding that Flower compares.

    Raises
    ------
    ConfigError
        The file does not hold a public key that Flower accepts.
    """
    return public_bytes(read_public(path))


class Link:
    """A SuperLink with one open run, through which the server sends messages to sites and reads their replies."""

    def __init__(self, public: socket.socket, certificate: Path | None, key: Path | None) -> None:
        quiet = logging.getLogger("flwr")
        quiet.setLevel(logging.CRITICAL)
        self._secret = secrets.token_bytes(32)
        self._app: Any = create_app(_settings(self._secret), SuperLinkLifespan)
        self.api = FleetApi(lambda: self._state)
        self.filter = RequestFilter(self.api)
        self._listeners = Listeners(self._app, self.filter, public, certificate, key)
        self._bound = Bound(0, 0)
        self._runtime: RuntimeHttpClient | None = None
        self._task: Any = None
        self._keys: dict[int, bytes] = {}
        self._out: dict[str, int] = {}
        self._heart: HeartbeatSender | None = None
        self._lost = threading.Event()

    def start(self) -> None:
        """Start the SuperLink on its loopback port and open a run."""
        self._listeners.open_private()
        self.open_run()

    def listen(self) -> None:
        """Open the public port. Register keys first: a SuperNode that is rejected once does not try again."""
        self._listeners.open_public()

    def close(self) -> None:
        """End Flower's run and close both ports."""
        self._end_run()
        self.filter.holder.close()
        self._listeners.close()

    def register(self, key: bytes) -> int:
        """Create a Flower node for a public key and return the node's id."""
        node_id = int(self._state.create_node(NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, key, 0))
        self._keys[node_id] = key
        return node_id

    def dismiss(self, node_id: int) -> None:
        """End the connection of a node whose key is no longer admitted, and drop its orders and parts of replies."""
        self._state.deactivate_node(node_id)
        self.forget([message_id for message_id, node in self._out.items() if node == node_id])
        self.api.drop(self._keys[node_id])

    def nodes(self) -> Mapping[int, Node]:
        """Return the state of every node, by node id."""
        return {info.node_id: _node(info) for info in self._state.get_node_info()}

    def node(self, node_id: int) -> Node:
        """Return the state of one node."""
        return _node(self._state.get_node_info(node_ids=[node_id])[0])

    def open_run(self) -> None:
        """Open a new run at Flower and act as its ServerApp; ends the previous run."""
        self._end_run()
        bundle = build_fab_from_files(ENVELOPE)[0]
        with ControlHttpClient.from_server_address(self._listeners.address, True, None, []) as control:
            control.StartRun(StartRunRequest(fab=Fab(hash_str=hashlib.sha256(bundle).hexdigest(), content=bundle)))
        version = RuntimeVersionHttpInterceptor(component_name="flwr-serverapp")
        token = RuntimeTokenHttpInterceptor(token=self._acquire())
        self._runtime = RuntimeHttpClient.from_server_address(
            self._listeners.address, True, None, [version, token], retry_invoker=_patient()
        )
        task = self._task = self._runtime.PullTaskInput(PullTaskInputRequest())
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = task.task_id, task.run.run_id, task.context.node_id
        self._lost.clear()
        self._heart = HeartbeatSender(self._beat)
        self._heart.start()

    def push(self, node_id: int, record: RecordDict, lifetime: float, kind: str = MessageType.TRAIN) -> tuple[str, int]:
        """Send a message to a node.

        Parameters
        ----------
        node_id
            The receiver.
        record
            The content.
        lifetime
            Seconds until Flower drops the message.
        kind
            Flower's type of the message.

        Returns
        -------
        tuple[str, int]
            The id of the message and its size in bytes.

        Raises
        ------
        RunLost
            Flower ended the run; open a new run and push again.
        """
        run_id, state = self._run_id(), self._state
        message = Message(record, node_id, kind, ttl=lifetime)
        message.metadata.__dict__["_message_id"] = message.object_id
        with no_object_id_recompute():
            pieces = {name: item.deflate() for name, item in get_all_nested_objects(message).items()}
            session = state.start_session(run_id)
            header = remove_content_from_message(message)
            stored, missing = state.store_message_and_object_tree(header, get_object_tree(message), session)
        if not stored:
            raise RunLost
        self._bound = self._bound.with_order(pieces)
        message_id = str(message.metadata.message_id)
        self._out[message_id] = node_id
        self.api.expect(self._keys[node_id], message_id, self._bound)
        for name in missing:
            state.store_object(run_id, session, name, pieces[name])
        self.filter.holder.wake(self._keys[node_id])
        return message_id, sum(map(len, pieces.values()))

    def pull(self, message_ids: Sequence[str]) -> Iterator[Incoming]:
        """Yield the replies to these messages that have arrived whole; inflate each only when it is consumed.

        Raises
        ------
        RunLost
            Flower ended the run; open a new run and push again.
        """
        self._run_id()
        nodes = self.nodes()
        for asked in message_ids:
            node = self._out.get(asked)
            found = None if node is None else self.api.take(self._keys[node], asked)
            if found is not None:
                self.forget([asked])
                yield Incoming(asked, found[0], found[1], False, found[2])
            elif node is None or not nodes[node].online:
                self.forget([asked])
                yield Incoming(asked, None, None, True, 0)

    def wait(self, seconds: float) -> None:
        """Wait until a reply has arrived, at most ``seconds``; return at once if one came since the last call."""
        self.api.wait_for_reply(seconds)

    def forget(self, message_ids: Sequence[str]) -> None:
        """Delete messages and their replies; a reply that arrives later is not delivered."""
        for message_id in message_ids:
            self._state.object_store.delete(message_id)
            self.api.forget(message_id)
            self._out.pop(message_id, None)
        self._state.delete_messages(set(message_ids))

    def _acquire(self) -> str:
        guard = SuperExecAuthHttpInterceptor(
            master_secret=self._secret, protected_methods=frozenset({"/flwr.proto.Runtime/AcquireTask"})
        )
        version = RuntimeVersionHttpInterceptor(component_name="SuperExec")
        with RuntimeHttpClient.from_server_address(self._listeners.address, True, None, [version, guard]) as client:
            end = time.monotonic() + 10
            while time.monotonic() < end:
                found = client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP]))
                if found.HasField("task") and found.token:
                    return str(found.token)
                time.sleep(0.02)
        raise RunError("server: Flower gave no task for its own run; start the server again")

    def _beat(self) -> bool:
        """Send a heartbeat for Flower's run; after a failure, the next ``push`` or ``pull`` raises RunLost."""
        try:
            alive = self._runtime is not None and self._runtime.SendTaskHeartbeat(SendTaskHeartbeatRequest()).success
        except httpx.HTTPError:
            alive = False
        if not alive:
            self._lost.set()
        return True

    def _run_id(self) -> int:
        if self._task is None or self._lost.is_set():
            raise RunLost
        return int(self._task.run.run_id)

    def _end_run(self) -> None:
        if self._heart is not None and self._heart.is_running:
            self._heart.stop()
        if self._runtime is None or self._task is None:
            return
        try:
            context = self._task.context
            self._runtime.PushTaskOutput(PushTaskOutputRequest(context=context, sub_status=SubStatus.COMPLETED, details=""))
        except httpx.HTTPError:
            self._lost.set()
        self._runtime.close()
        self._runtime = self._task = None

    @property
    def _state(self) -> Any:
        return self._app.state.linkstate_factory.state()


def _node(info: Any) -> Node:
    return Node(info.status == "online", info.last_activated_at or "", info.online_until or 0.0)


def _settings(secret: bytes) -> SuperLinkLifespanConfig:
    return SuperLinkLifespanConfig(
        control_address="",
        health_server_address=None,
        host="127.0.0.1",
        port=0,
        insecure=True,  # for the loopback listener; the public listener has TLS
        certificates=None,
        superexec_auth_secret=secret,
        authn_plugin=NoOpControlAuthnPlugin(),
        event_log_plugin=None,
        fleet_event_log_plugin=None,
        enable_event_log=False,
        artifact_provider=None,
        enable_supernode_auth=True,
        fleet_api_type="grpc-rere",
        fleet_api_address=None,
        simulation=False,
        ssl_ca_certfile=None,
        ssl_certfile=None,
        ssl_keyfile=None,
        database=IN_MEMORY,
        isolation="process",
        runtime_dependency_install=False,
    )


def _patient() -> RetryInvoker:
    """Return a retry policy for transport errors only: an error status from Flower is not retried."""
    return RetryInvoker(lambda: exponential(0.1, 2, 2), httpx.TransportError, max_tries=5, max_time=20)
