"""A page for this machine: its headers, its port, and that it ends."""

import socket

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router

from server.network.loopback import HEADERS, LoopbackServer, page_policy
from shared.errors import RunError


def plain(request: Request) -> Response:
    return PlainTextResponse("here")


def own(request: Request) -> Response:
    return PlainTextResponse("here", headers=page_policy("abc"))


def failing(request: Request) -> Response:
    raise ValueError("secret")


def server(port: int = 0) -> LoopbackServer:
    routes = [Route("/plain", plain), Route("/own", own), Route("/failing", failing)]
    return LoopbackServer(Router(routes), "127.0.0.1", port, f"--port {port}")


def test_every_answer_has_the_headers_and_a_page_may_set_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    with server() as page, httpx.Client(base_url=f"http://127.0.0.1:{page.port}") as client:
        for path, status in (("/plain", 200), ("/none", 404)):
            answer = client.get(path)
            assert answer.status_code == status
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        policy = client.get("/own").headers["Content-Security-Policy"]
        assert policy == page_policy("abc")["Content-Security-Policy"]
        assert "unsafe" not in policy
        failed = client.get("/failing")
        assert (failed.status_code, "secret" in failed.text) == (500, False)
    assert capfd.readouterr() == ("", "")  # nothing is logged, not even a failure


def test_a_taken_port_is_one_line_and_a_port_is_free_again_at_the_end() -> None:
    with server() as page:
        with pytest.raises(RunError, match=rf"^--port {page.port}: cannot be opened \(Address already in use\)"):
            server(page.port)
        port = page.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)
    with server(port) as again:
        assert httpx.get(f"http://127.0.0.1:{again.port}/plain").text == "here"
