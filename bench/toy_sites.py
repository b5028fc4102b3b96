"""Play many sites with trivial training, as coroutines of one process, for `bench.load`."""

import asyncio
import math
import random
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    DeactivateNodeRequest,
    DeactivateNodeResponse,
    PullMessagesRequest,
    PullMessagesResponse,
    PushMessagesRequest,
    PushMessagesResponse,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest, SendNodeHeartbeatResponse
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ConfirmMessageReceivedResponse,
    PullObjectRequest,
    PullObjectResponse,
    PushObjectRequest,
    PushObjectResponse,
)
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.task_identity import TaskIdentity

from shared.adapters.state import AdapterState
from shared.identity.keys import new_key, public_line
from shared.identity.request_signature import public_bytes, signed_headers
from shared.wire.chain_head import ChainHead
from shared.wire.messages import TrainOrder, TrainReply
from shared.wire.parts import Bound, inflate, packets, unpacked_parts

HEARTBEAT, BEAT = 60.0, 20.0  # seconds; long, so that heartbeats hardly count in what is measured


class Refused(Exception):
    """The server answered with an error status."""


class Requests:
    """Requests over connections that stay open; each is much cheaper than with a full HTTP client.

    With such a client, the sites of this bench would need more of the processor than the server that is measured.
    """

    def __init__(self, port: int, tls: ssl.SSLContext) -> None:
        self._port, self._tls = port, tls
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Return the body of the answer.

        Raises
        ------
        Refused
            The server answered with an error status.
        OSError, EOFError
            The connection was lost.
        """
        lines = {"host": "127.0.0.1", "content-length": str(len(body)), **headers}
        head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        reader, writer = self._idle.pop() if self._idle else await self._connect()
        try:
            writer.write(f"{head}\r\n".encode() + body)
            first, *rest = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            size = next(int(line.split(b":")[1]) for line in rest if line.startswith(b"content-length:"))
            content = await reader.readexactly(size)
        except BaseException:
            writer.close()
            raise
        if first.split()[1] != b"200":
            writer.close()
            raise Refused(first.decode())
        self._idle.append((reader, writer))
        return content

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls, limit=2**23)


@dataclass
class Toy:
    """One site: a key, connections, and a reply that holds ``value`` everywhere.

    ``withheld`` counts the orders of all sites to which no finite reply is sent, in memory that the server's process reads.
    """

    name: str
    value: float
    key: ec.EllipticCurvePrivateKey
    http: Requests
    faults: float
    withheld: Any
    node: Node | None = None
    silent: bool = False

    async def serve(self) -> None:
        """Connect and answer orders until cancelled; meet a fault at an order with the chance ``faults``."""
        pause = 0.5
        while True:
            try:
                if self.node is not None:
                    leave = DeactivateNodeRequest(node_id=self.node.node_id)
                    with suppress(Refused):  # the answer to an earlier one was lost
                        await self._ask("deactivate-node", leave, DeactivateNodeResponse)
                    self.node = None
                answer = await self._ask(
                    "activate-node",
                    ActivateNodeRequest(public_key=public_bytes(self.key.public_key()), heartbeat_interval=HEARTBEAT),
                    ActivateNodeResponse,
                )
                self.node, self.silent, pause = Node(node_id=answer.node_id), False, 0.5
                beat = asyncio.create_task(self._beat())
                try:
                    await self._answer_all()
                finally:
                    beat.cancel()
            except (OSError, EOFError, Refused):
                await asyncio.sleep(random.uniform(0.2, 1.0) * pause)  # noqa: S311  spreads the sites
                pause = min(2 * pause, 8.0)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            request = SendNodeHeartbeatRequest(node=self.node, heartbeat_interval=HEARTBEAT)
            try:
                await self._ask("send-node-heartbeat", request, SendNodeHeartbeatResponse)
            except (OSError, EOFError):
                continue  # a real site tries again too, or the server would give it up
            except Refused:
                self.silent = True

    async def _answer_all(self) -> None:
        while not self.silent:
            asked = time.monotonic()
            found = await self._ask("pull-messages", PullMessagesRequest(node=self.node), PullMessagesResponse)
            for header, tree in zip(found.messages_list, found.message_object_trees, strict=True):
                fault = random.choice(("silent", "gone", "nan")) if random.random() < self.faults else ""  # noqa: S311
                if fault == "gone":
                    raise EOFError
                self.withheld.value += bool(fault)
                if fault != "silent":
                    await self._answer(header.metadata, tree, math.nan if fault == "nan" else self.value)
            if not found.messages_list:
                await asyncio.sleep(max(0.0, asked + 0.2 - time.monotonic()))

    async def _answer(self, order: Any, tree: Any, value: float) -> None:
        """Take the parts of an order, and send a reply."""
        names, open_trees, parts = set[str](), [tree], dict[str, bytes]()
        while open_trees:
            each = open_trees.pop()
            names.add(each.object_id)
            open_trees += each.children
        while names - set(parts):
            request = PullObjectRequest(node=self.node, run_id=order.run_id, object_id=",".join(sorted(names - set(parts))))
            parts |= unpacked_parts((await self._ask("pull-object", request, PullObjectResponse)).object_content)
        message = inflate(tree.object_id, parts, Bound(2**30, 2**20))
        message.metadata.__dict__["_message_id"] = tree.object_id
        confirm = ConfirmMessageReceivedRequest(node=self.node, run_id=order.run_id, message_object_id=tree.object_id)
        await self._ask("confirm-message-received", confirm, ConfirmMessageReceivedResponse)
        await self._send(message, value)

    async def _send(self, message: Message, value: float) -> None:
        assert self.node is not None  # noqa: S101  set by ``serve``
        TaskIdentity.task_id, TaskIdentity.run_id = 1, message.metadata.run_id
        TaskIdentity.node_id = self.node.node_id
        order = TrainOrder.from_record(message.content)
        delta = AdapterState({name: np.full_like(array, value) for name, array in order.adapter.arrays.items()})
        head = ChainHead(order.ledger.entries + 2, f"{order.round:064x}")
        record = TrainReply(order.run_id, order.round, order.nonce, self.name, delta, head).to_record()
        reply = Message(record, reply_to=message)
        reply.metadata.__dict__["_message_id"] = reply.object_id
        contents = {name: part.deflate() for name, part in get_all_nested_objects(reply).items()}
        tree = get_object_tree(reply)
        header = message_to_proto(remove_content_from_message(reply))
        request = PushMessagesRequest(node=self.node, messages_list=[header], message_object_trees=[tree])
        taken = await self._ask("push-messages", request, PushMessagesResponse)
        for body in packets(contents[name] for name in taken.objects_to_push):
            part = PushObjectRequest(node=self.node, object_content=body, session_id=taken.session_id)
            await self._ask("push-object", part, PushObjectResponse)

    async def _ask(self, name: str, request: Any, kind: Any) -> Any:
        path, body = f"/v1/fleet/{name}", request.SerializeToString()
        headers = signed_headers(self.key, self.name, "POST", path, body)
        return kind.FromString(await self.http.post(path, body, headers))


def values_of(names: Sequence[str]) -> Mapping[str, float]:
    """Return the number that each site's delta is made of; the sums of different sets of sites differ."""
    drawn = random.Random(len(names))  # noqa: S311  no secret
    return {name: drawn.uniform(0.001, 0.01) for name in names}


def play_sites(names: Sequence[str], folder: str, port: int, faults: float, withheld: Any) -> None:
    """Play all sites in one process, until it is ended."""
    keys = {name: new_key() for name in names}
    for name, key in keys.items():
        (Path(folder) / "sites" / f"{name}.pub").write_text(public_line(key.public_key(), name), encoding="ascii")
    (Path(folder) / "ready").touch()
    trust = ssl.create_default_context(cafile=str(Path(folder) / "ca.crt"))

    async def all_sites() -> None:
        while not (Path(folder) / "open").exists():
            await asyncio.sleep(0.05)
        values = values_of(names)
        toys = [Toy(name, values[name], keys[name], Requests(port, trust), faults, withheld) for name in names]
        await asyncio.gather(*(toy.serve() for toy in toys))

    asyncio.run(all_sites())
