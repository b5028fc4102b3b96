"""The standard gRPC health service (grpc.health.v1), for an orchestrator's probes."""

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
    """The overall service says whether sites can connect, ``hushtune.rounds`` whether a quorum is connected."""

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
        """Set what probes are told."""
        for service, serving in (("", listening), (ROUNDS, listening and quorum)):
            status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
            self._servicer.set(service, status)
