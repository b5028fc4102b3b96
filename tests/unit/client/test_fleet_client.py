"""A site's requests are signed, and of an answer nothing is read beyond what an honest server sends."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from flwr.proto.fleet_pb2 import ActivateNodeRequest, ActivateNodeResponse

from client.fleet_client import ForeignAnswer, SignedClient
from server.network.replays import Replays
from shared.identity.keys import new_key
from shared.identity.request_signature import Claim, signed_headers
from shared.wire.parts import SMALL

SITE_KEY = new_key()
Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """A web server that answers as it is told, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answer: Answer = lambda request: None
        self.claims: list[tuple[Claim | None, str, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                pairs = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
                outer.claims.append((Claim.read(pairs), self.path, body))
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()  # looks often for its end

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.http.shutdown()
    found.http.server_close()


def client(server: Server) -> SignedClient:
    return SignedClient(server.address, None, lambda path, body: signed_headers(SITE_KEY, "north", "POST", path, body))


def says(content: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(content)

    return answer


def test_each_request_is_signed_for_its_path_and_body_and_can_be_told_from_the_next(server: Server) -> None:
    server.answer = says(ActivateNodeResponse(node_id=7).SerializeToString())
    with client(server) as found:
        assert [found.ActivateNode(ActivateNodeRequest(public_key=b"x")).node_id for _ in range(2)] == [7, 7]
    seen = Replays()
    for claim, path, body in server.claims:
        assert claim is not None
        assert claim.is_signed(SITE_KEY.public_key(), "POST", path)
        assert claim.has_body(body)
        assert seen.is_new(claim)
        assert not seen.is_new(claim)


@pytest.mark.parametrize(
    "content", [b"\xff\xff no protobuf", b"<html>a captive portal</html>", bytes([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F])]
)
def test_bytes_that_are_no_answer_are_told(server: Server, content: bytes) -> None:
    server.answer = says(content)
    with client(server) as found, pytest.raises(ForeignAnswer):
        found.ActivateNode(ActivateNodeRequest())


def test_an_endless_answer_is_cut_off(server: Server) -> None:
    sent = 0

    def endless(request: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        says(b"")(request)
        try:
            for _ in range(400):
                request.wfile.write(bytes(2**20))
                sent += 2**20
        except OSError:
            pass

    server.answer = endless
    with client(server) as found, pytest.raises(ForeignAnswer):
        found.ActivateNode(ActivateNodeRequest())
    assert sent < SMALL + 50 * 2**20  # what the buffers of the system took


def test_a_redirect_takes_no_signed_request_anywhere(server: Server) -> None:
    other = Server()
    server.answer = says(b"", 307, location=f"http://{other.address}/v1/fleet/activate-node")
    with client(server) as found, pytest.raises(httpx.HTTPStatusError):
        found.ActivateNode(ActivateNodeRequest())
    other.http.shutdown()
    other.http.server_close()
    assert not other.claims
