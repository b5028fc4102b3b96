"""The public port with TLS, as sites and outsiders meet it: an order and its reply, a removed key, a crowd of strangers."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity

from client.connection import Connection
from client.lost_server import ServerGone
from client.server_access import ServerAccess
from server.network import connections, held_requests
from server.network.request_filter import REPLAYED
from server.network.superlink import Link
from shared.errors import ConnectionRefused
from shared.identity.certificates import authority, certificate_pem, private_pem, server_certificate
from shared.identity.keys import new_key
from shared.identity.request_signature import public_bytes, signed_headers

SITE_KEY = new_key()
PUBLIC = public_bytes(SITE_KEY.public_key())


@dataclass
class Port:
    """A server's open port and the one site that it admits."""

    link: Link
    address: tuple[str, int]
    access: ServerAccess
    node: int

    def stranger(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=5)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    ca_key, key = new_key(), new_key()
    ca = authority(ca_key, 1)
    (tmp_path / "server.crt").write_bytes(
        certificate_pem(server_certificate(["127.0.0.1"], key.public_key(), ca, ca_key, 1))
    )
    (tmp_path / "server.key").write_bytes(private_pem(key))
    listening = socket.create_server(("127.0.0.1", 0))
    link = Link(listening, tmp_path / "server.crt", tmp_path / "server.key")
    link.start()
    node = link.register(PUBLIC)
    link.filter.admit({PUBLIC: "north"})
    link.listen()
    address = listening.getsockname()
    yield Port(link, address, ServerAccess("north", f"127.0.0.1:{address[1]}", certificate_pem(ca), SITE_KEY), node)
    link.close()
    listening.close()


def app() -> ClientApp:
    found = ClientApp()

    @found.train()
    def train(message: Message, _: Any) -> Message:
        return Message(RecordDict({"header": ConfigRecord({"round": 2})}), reply_to=message)

    return found


def answer(site: Connection, message: Message | None) -> None:
    """Answer as a site does, in a process that is the server as well: Flower keeps who it is for the whole process."""
    assert message is not None
    server = TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id
    try:
        site.answer(app(), message)
    finally:
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = server


def test_an_order_and_its_reply_pass_and_a_removed_key_ends_both(port: Port, tmp_path: Path) -> None:
    order = RecordDict({"header": ConfigRecord({"round": 1})})
    with Connection(port.access, tmp_path / "node") as site:
        assert port.link.node(port.node).online
        message_id, _ = port.link.push(port.node, order, 60.0)
        messages = site.messages()
        answer(site, next(messages))
        port.link.wait(10)
        [incoming] = port.link.pull([message_id])
        assert incoming.content is not None
        assert incoming.content["header"]["round"] == 2
        # The key goes while the next order is out.
        second, _ = port.link.push(port.node, order, 60.0)
        asked = next(messages)
        port.link.filter.admit({})
        port.link.dismiss(port.node)
        with pytest.raises(ServerGone):
            answer(site, asked)
        assert [each.away for each in port.link.pull([second])] == [True]
    with pytest.raises(ConnectionRefused, match="does not know this site's key"), Connection(port.access, tmp_path / "node"):
        pass


def test_a_request_that_was_seen_on_the_way_is_not_accepted_again(port: Port) -> None:
    path = "/v1/fleet/send-node-heartbeat"
    headers = signed_headers(SITE_KEY, "north", "POST", path, b"")
    trust = ssl.create_default_context(cadata=(port.access.authority or b"").decode())
    with httpx.Client(verify=trust) as thief:
        url = f"https://{port.access.address}{path}"
        assert [thief.post(url, headers=headers).status_code for _ in range(2)] == [401, REPLAYED]  # no node was named
        assert thief.post(f"https://{port.access.address}/v1/fleet/pull-messages", headers=headers).status_code == 401


def test_a_crowd_of_strangers_locks_no_site_out_and_is_gone_soon(
    port: Port, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HANDSHAKE", "FIRST"):
        monkeypatch.setattr(connections, name, 2.0)
    monkeypatch.setattr(held_requests, "HOLD", 0.1)
    trust = ssl._create_unverified_context()  # noqa: S323  a stranger who wants connections and no truth
    silent = [port.stranger() for _ in range(200)]
    agreed = []
    for _ in range(20):
        with suppress(ConnectionError, ssl.SSLError):  # it had to make room already
            agreed.append(trust.wrap_socket(port.stranger()))
    for _ in range(5):  # a client tries again as well
        try:
            with Connection(port.access, tmp_path / "node") as site:
                assert port.link.node(port.node).online
                for each in (*silent, *agreed):
                    each.settimeout(30.0)
                    try:
                        assert each.recv(1) == b""
                    except (ConnectionError, ssl.SSLError):
                        continue
                assert next(site.messages()) is None  # and the site is still served
            break
        except ServerGone:
            continue
    else:
        pytest.fail("the site was locked out")
    for each in (*silent, *agreed):
        each.close()


def test_endless_headers_are_cut_off(port: Port) -> None:
    trust = ssl._create_unverified_context()  # noqa: S323
    with trust.wrap_socket(port.stranger()) as stranger:
        stranger.settimeout(30.0)
        stranger.sendall(b"POST /v1/fleet/pull-messages HTTP/1.1\r\n")
        sent = 0
        with pytest.raises((ConnectionError, ssl.SSLError)):
            while sent < 200 * 2**20:
                stranger.sendall(b"x-more: " + b"a" * 65_536)
                sent += 65_536
        assert sent < 32 * 2**20  # what the buffers of the system took
