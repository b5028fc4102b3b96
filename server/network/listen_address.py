"""The addresses that a server listens on, and the rule that only a loopback address may go without TLS."""

import socket
from dataclasses import dataclass
from pathlib import Path

from server.provision import ServerFolder
from shared.errors import ConfigError, RunError
from shared.ops.address import is_loopback, parsed


@dataclass(frozen=True)
class Listening:
    """The addresses of a server, each as HOST:PORT.

    ``public`` is for sites, ``health`` for health checks, ``live`` for the live page (None: no page). ``insecure`` is true
    where the operator turned TLS off.
    """

    public: str
    health: str
    insecure: bool
    live: str | None = None

    def open(self) -> socket.socket:
        """Open the public port and return its socket.

        Raises
        ------
        ConfigError
            The address is malformed, or would accept other machines without TLS.
        RunError
            The address cannot be opened, for example because the port is in use.
        """
        host, port = parsed(self.public)
        if self.insecure and not is_loopback(host):
            raise ConfigError(
                f"--insecure: without TLS a server may listen only on a loopback address, not {host}; use 127.0.0.1"
            )
        try:
            return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:
            raise RunError(f"--listen {self.public}: cannot be opened ({error.strerror}); give a free address") from error

    def tls(self, folder: ServerFolder) -> tuple[Path, Path] | tuple[None, None]:
        """Return the paths of the certificate and its key, or two None where TLS was turned off.

        Raises
        ------
        ConfigError
            One of the two files is missing.
        """
        if self.insecure:
            return None, None
        for path in (folder.certificate, folder.key):
            if not path.is_file():
                raise ConfigError(
                    f"{path}: no such file, and a server does not start without TLS; create it with 'hushtune provision "
                    "server', or pass --insecure for a trial on this machine only"
                )
        return folder.certificate, folder.key
