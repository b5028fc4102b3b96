import socket
from pathlib import Path

import pytest

from server.network.health import ROUNDS, Health
from server.network.listen_address import Listening
from server.provision import ServerFolder
from shared.errors import ConfigError, RunError


@pytest.mark.parametrize("address", ["8443", "host", ":8443", "host:port", "host:70000", ""])
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        Listening(address, "", False).open()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.7", "example.org", "[::]"])  # noqa: S104
def test_without_tls_a_server_is_on_loopback_alone(host: str) -> None:
    with pytest.raises(ConfigError, match="only on a loopback address"):
        Listening(f"{host}:0", "", True).open()


def test_a_port_that_is_taken_is_told() -> None:
    with Listening("127.0.0.1:0", "", True).open() as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RunError, match="cannot be opened"):
            Listening(address, "", True).open()


def test_tls_is_needed_unless_waived(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path)
    with pytest.raises(ConfigError, match="does not start without TLS"):
        Listening("127.0.0.1:0", "", False).tls(folder)
    assert Listening("127.0.0.1:0", "", True).tls(folder) == (None, None)
    folder.certificate.write_text("c")
    folder.key.write_text("k")
    assert Listening("127.0.0.1:0", "", False).tls(folder) == (folder.certificate, folder.key)


def test_health_checks_are_told_what_is_so() -> None:
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
    from grpc_health.v1.health_pb2_grpc import HealthStub

    with Health("127.0.0.1:0") as health, grpc.insecure_channel(f"127.0.0.1:{health.port}") as channel:
        check = HealthStub(channel).Check

        def told() -> list[bool]:
            services = ("", ROUNDS)
            answers = [check(HealthCheckRequest(service=service), timeout=5).status for service in services]
            return [answer == HealthCheckResponse.SERVING for answer in answers]

        assert told() == [False, False]
        health.show(True, False)
        assert told() == [True, False]
        health.show(True, True)
        assert told() == [True, True]
        health.show(False, True)
        assert told() == [False, False]


def test_an_address_for_health_checks_that_cannot_be_opened_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(RunError, match="--health"):
        Health(f"127.0.0.1:{taken.getsockname()[1]}")
