"""The standard gRPC health service (grpc.health.v1), which an orchestrator such as Kubernetes queries."""

from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from shared.errors import RunError

ROUNDS = "hushtune.rounds"


class Health:
    """Answer health checks on ``address``.

    The overall service reports whether sites can connect; ``hushtune.rounds`` reports whether a quorum is connected.

    Raises
    ------
    RunError
        The address cannot be opened.
    """

    def __init__(self, address: str) -> None:
        self._servicer = HealthServicer()
        self._server = grpc.server(ThreadPoolExecutor(max_workers=2))
        add_HealthServicer_to_server(self._servicer, self._server)
        self.show(False, False)
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise RunError(f"--health {address}: cannot be opened; give a free address as HOST:PORT") from error

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.show(False, False)
        self._server.stop(grace=0.2).wait()

    def show(self, listening: bool, quorum: bool) -> None:
        """Set the answers to health checks: whether the public port is open, and whether a quorum is connected."""
        for service, serving in (("", listening), (ROUNDS, listening and quorum)):
            status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
            self._servicer.set(service, status)
