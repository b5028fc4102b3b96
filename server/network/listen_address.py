"""Where a server listens, and whether it may."""

import socket
from dataclasses import dataclass
from pathlib import Path

from server.provision import ServerFolder
from shared.errors import ConfigError, RunError
from shared.ops.address import is_loopback, parsed

BACKLOG = 128


@dataclass(frozen=True)
class Listening:
    """The public address, the address for probes, whether TLS was waived, and the address of the live page, if any."""

    public: str
    health: str
    insecure: bool
    live: str | None = None

    def open(self) -> socket.socket:
        """The public port.

        Raises:
            ConfigError: the address is none, or is open to others without TLS.
            RunError: the port is taken.
        """
        host, port = parsed(self.public)
        if self.insecure and not is_loopback(host):
            raise ConfigError(f"--insecure: without TLS a server listens on loopback alone, not on {host}; use 127.0.0.1")
        try:
            return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:
            raise RunError(f"--listen {self.public}: cannot be opened ({error.strerror}); give a free address") from error

    def tls(self, folder: ServerFolder) -> tuple[Path, Path] | tuple[None, None]:
        """Certificate and key, or neither where TLS was waived.

        Raises:
            ConfigError: they are missing.
        """
        if self.insecure:
            return None, None
        for path in (folder.certificate, folder.key):
            if not path.is_file():
                raise ConfigError(
                    f"{path}: no such file, and a server does not start without TLS; make it with hushtune provision, or "
                    "say --insecure for a trial on this machine alone"
                )
        return folder.certificate, folder.key
