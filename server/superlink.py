"""A Flower SuperLink inside this process, and every use of Flower's internals on the server's side.

Two listeners share one SuperLink. The public one passes the Fleet API alone, to admitted keys; Control and Runtime, with
which stock Flower lets anyone who holds the CA file register nodes and run code, answer on a loopback port of this process.
No code runs here and none is sent: the bundle that Flower wants as an envelope holds two lines of metadata.
"""

import asyncio
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
import uvicorn
from flwr.app import Message, MessageType, RecordDict
from flwr.cli.build import build_fab_from_files
from flwr.common.constant import NOOP_ACCOUNT_NAME, NOOP_FLWR_AID, ErrorCode, SubStatus
from flwr.common.serde import run_from_proto
from flwr.proto.control_pb2 import StartRunRequest
from flwr.proto.fab_pb2 import Fab
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullAppMessagesRequest,
    PullTaskInputRequest,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.constant import TaskType
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, iterate_object_tree
from flwr.supercore.inflatable.inflatable_protobuf_utils import make_pull_object_fn_protobuf
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents, pull_objects
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.retry import RetryInvoker, exponential
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.auth_plugin import NoOpControlAuthnPlugin
from flwr.superlink.cli.flower_superlink import SuperLinkLifespan
from flwr.superlink.config_loader import SuperLinkLifespanConfig
from flwr.superlink.grid.http_grid import HttpGrid
from flwr.superlink.main import create_app

from server.wall import Wall
from shared.errors import RunError
from shared.keys import read_public

IN_MEMORY = ":flwr-in-memory:"
ENVELOPE = {
    "pyproject.toml": b"""[project]
name = "hushtune"
version = "1.0.0"
description = "no code"
license = { file = "LICENSE" }
dependencies = ["flwr>=1.41.0"]
[tool.flwr.app]
publisher = "hushtune"
fab-format-version = 1
flwr-version-target = "1.41.0"
[tool.flwr.app.components]
serverapp = "nowhere:nothing"
clientapp = "nowhere:nothing"
""",
    "LICENSE": b"Apache-2.0",
}


class RunLost(Exception):
    """Flower ended its run, as it does when this process slept; a new one may be opened."""


@dataclass(frozen=True)
class Node:
    """How Flower sees a site: whether it is there, since when, and until when it counts as there."""

    online: bool
    since: str
    online_until: float


@dataclass(frozen=True)
class Incoming:
    """A reply to one message: a record or the reason why there is none, and its bytes on the wire."""

    message_id: str
    content: RecordDict | None
    error: str | None
    away: bool
    size: int


def node_key(path: Path) -> bytes:
    """A site's public key in the form that Flower compares.

    Raises:
        ConfigError: the file holds no key that Flower takes.
    """
    return bytes(public_key_to_bytes(read_public(path)))


class Link:
    """A running SuperLink with one open run, through which messages go to nodes."""

    def __init__(self, public: socket.socket, certificate: Path | None, key: Path | None) -> None:
        quiet = logging.getLogger("flwr")
        quiet.setLevel(logging.CRITICAL)
        self._secret = secrets.token_bytes(32)
        self._app: Any = create_app(_settings(self._secret), SuperLinkLifespan)
        self.wall = Wall(self._app)
        tls = {"ssl_certfile": certificate, "ssl_keyfile": key} if certificate else {}
        self._public, self._private = public, socket.create_server(("127.0.0.1", 0))
        self._address = f"127.0.0.1:{self._private.getsockname()[1]}"
        quiet_log: dict[str, Any] = {"log_config": None, "log_level": "critical", "timeout_graceful_shutdown": 2}
        self._servers = (
            uvicorn.Server(uvicorn.Config(self._app, **quiet_log)),
            uvicorn.Server(uvicorn.Config(self.wall, lifespan="off", **quiet_log, **tls)),  # type: ignore[arg-type]
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._grid: HttpGrid | None = None
        self._heart: HeartbeatSender | None = None
        self._lost = threading.Event()

    def start(self) -> None:
        """Open the loopback listener and a run; the public one opens with ``listen``."""
        self._opened = threading.Event()
        self._thread.start()
        _wait(lambda: self._servers[0].started, self._thread, "its loopback port")
        self.open_run()

    def listen(self) -> None:
        """Open the public listener; who connects before its key is registered would be turned away for good."""
        self._opened.set()
        _wait(lambda: self._servers[1].started, self._thread, "its public port")

    async def _serve(self) -> None:
        private, public = self._servers
        tasks = [asyncio.create_task(private.serve([self._private]))]
        while not self._opened.is_set():
            await asyncio.sleep(0.02)
        tasks.append(asyncio.create_task(public.serve([self._public])))
        await asyncio.gather(*tasks)

    def close(self) -> None:
        """End the run and both listeners."""
        self._end_run()
        self._opened.set()
        for server in self._servers:
            server.should_exit = True
        self._thread.join(10)

    def register(self, key: bytes) -> int:
        """Make a node for a public key; gives its id."""
        return int(self._state.create_node(NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, key, 0))

    def nodes(self) -> Mapping[int, Node]:
        """All nodes by their id."""
        return {
            info.node_id: Node(info.status == "online", info.last_activated_at or "", info.online_until or 0.0)
            for info in self._state.get_node_info()
        }

    def open_run(self) -> None:
        """Submit a run to Flower and take its server's part."""
        self._end_run()
        bundle = build_fab_from_files(ENVELOPE)[0]
        with ControlHttpClient.from_server_address(self._address, True, None, []) as control:
            control.StartRun(StartRunRequest(fab=Fab(hash_str=hashlib.sha256(bundle).hexdigest(), content=bundle)))
        self._lost.clear()
        grid = HttpGrid(self._address, insecure=True, token=self._acquire())
        grid._retry_invoker = _patient()  # Flower's own sends SIGINT to its process on a 401
        task = grid._runtime_client.PullTaskInput(PullTaskInputRequest())
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = task.task_id, task.run.run_id, task.context.node_id
        grid.set_run(run_from_proto(task.run))
        self._grid, self._task = grid, task
        self._heart = HeartbeatSender(self._beat)
        self._heart.start()

    def push(self, node_id: int, record: RecordDict, lifetime: float) -> tuple[str, int]:
        """Send a training message that expires in ``lifetime`` seconds; gives its id and its bytes.

        Raises:
            RunLost: open a new run and push again.
        """
        message = Message(record, node_id, MessageType.TRAIN, ttl=lifetime)
        size = sum(len(item.deflate()) for item in get_all_nested_objects(message).values())
        try:
            [message_id] = self._live().push_messages([message])
        except httpx.HTTPError as error:
            raise RunLost from error
        return str(message_id), size

    def pull(self, message_ids: Sequence[str]) -> Iterator[Incoming]:
        """Yield the replies that are there, fetching each only when it is asked for.

        Raises:
            RunLost: open a new run and push again.
        """
        grid = self._live()
        try:
            found = grid._runtime_client.PullMessages(PullAppMessagesRequest(message_ids=message_ids))
            for header, tree in zip(found.messages_list, found.message_object_trees, strict=True):
                yield self._fetch(grid, header, tree)
        except httpx.HTTPError as error:
            raise RunLost from error

    def forget(self, message_ids: Sequence[str]) -> None:
        """Drop messages and their replies; a reply that comes later finds nothing to answer."""
        state = self._state
        for message_id in message_ids:
            self._app.state.linkstate_factory.objectstore_factory.store().delete(message_id)
        state.delete_messages(set(message_ids))

    def _fetch(self, grid: HttpGrid, header: Any, tree: Any) -> Incoming:
        run_id, asked = grid.run.run_id, header.metadata.reply_to_message_id
        fetch = make_pull_object_fn_protobuf(grid._runtime_client.PullObject, grid.node, run_id)
        try:
            contents = pull_objects([part.object_id for part in iterate_object_tree(tree)], fetch)
            size = sum(map(len, contents.values()))
            message = inflate_object_from_contents(header.metadata.message_id, contents)
        except httpx.HTTPError:
            raise
        except Exception as error:  # parsing what a site sent must never end a round
            return Incoming(asked, None, type(error).__name__, False, 0)
        grid._runtime_client.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(node=grid.node, run_id=run_id, message_object_id=header.metadata.message_id)
        )
        assert isinstance(message, Message)  # noqa: S101  the head of a message's tree
        if message.has_error():
            away = message.error.code == ErrorCode.NODE_UNAVAILABLE
            return Incoming(asked, None, str(message.error.reason), away, size)
        return Incoming(asked, message.content, None, False, size)

    def _acquire(self) -> str:
        guard = SuperExecAuthHttpInterceptor(
            master_secret=self._secret, protected_methods=frozenset({"/flwr.proto.Runtime/AcquireTask"})
        )
        version = RuntimeVersionHttpInterceptor(component_name="SuperExec")
        with RuntimeHttpClient.from_server_address(self._address, True, None, [version, guard]) as client:
            end = time.monotonic() + 10
            while time.monotonic() < end:
                found = client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP]))
                if found.HasField("task") and found.token:
                    return str(found.token)
                time.sleep(0.02)
        raise RunError("server: Flower gave no task for its own run; start the server again")

    def _beat(self) -> bool:
        """Keep Flower's task alive; what fails is noticed at the next message."""
        try:
            assert self._grid is not None  # noqa: S101  set before the first beat
            alive = self._grid._runtime_client.SendTaskHeartbeat(SendTaskHeartbeatRequest()).success
        except httpx.HTTPError:
            alive = False
        if not alive:
            self._lost.set()
        return True

    def _live(self) -> HttpGrid:
        if self._grid is None or self._lost.is_set():
            raise RunLost
        return self._grid

    def _end_run(self) -> None:
        if self._heart is not None and self._heart.is_running:
            self._heart.stop()
        if self._grid is not None:
            grid, self._grid = self._grid, None
            try:
                grid._runtime_client.PushTaskOutput(
                    PushTaskOutputRequest(context=self._task.context, sub_status=SubStatus.COMPLETED, details="")
                )
            except httpx.HTTPError:
                self._lost.set()
            grid.close()

    @property
    def _state(self) -> Any:
        return self._app.state.linkstate_factory.state()


def _settings(secret: bytes) -> SuperLinkLifespanConfig:
    return SuperLinkLifespanConfig(
        control_address="",
        health_server_address=None,
        host="127.0.0.1",
        port=0,
        insecure=True,  # of the loopback listener; TLS is the public one's
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
    """Retries of what the network may lose, and nothing else: no signals, no retry of an answer."""
    return RetryInvoker(lambda: exponential(0.1, 2, 2), httpx.TransportError, max_tries=5, max_time=20)


def _wait(ready: Any, thread: threading.Thread, what: str) -> None:
    end = time.monotonic() + 20
    while not ready():
        if not thread.is_alive() or time.monotonic() > end:
            raise RunError(f"server: cannot open {what}; check the certificate and its key (hushtune provision verify)")
        time.sleep(0.02)
