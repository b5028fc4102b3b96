"""Hold what a site needs to reach its server: address, authority and key."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from client.fleet_client import SignedClient
from shared.errors import ConfigError
from shared.identity.keys import exposed, read_private
from shared.identity.request_signature import signed_headers
from shared.wire.parts import SMALL, Bound

LARGEST = 50_000_000  # most parameters of an adapter; SITE.toml may set another number


@dataclass(frozen=True)
class ServerAccess:
    """How a site reaches its server and proves its identity.

    Attributes
    ----------
    site_id
        Name of the site.
    address
        Host:port of the server.
    authority
        Certificate of the authority in PEM; None means no TLS.
    key
        Private key of the site.
    parameters
        Largest number of parameters of an adapter that the site accepts; limits how many bytes of an order it reads.
    """

    site_id: str
    address: str
    authority: bytes | None
    key: ec.EllipticCurvePrivateKey
    parameters: int = LARGEST

    @classmethod
    def from_files(cls, site_id: str, address: str, ca: Path | None, key: Path, parameters: int) -> "ServerAccess":
        """Read the site's key and the certificate ``ca`` of the authority; None means no TLS, for a trial on one machine.

        Raises
        ------
        ConfigError
            A file cannot be read, is something else, or others may read the key.
        """
        own = read_private(key)
        for flaw in exposed(key):
            raise ConfigError(str(flaw))
        return cls(site_id, address, _authority(ca) if ca else None, own, parameters)

    def client(self) -> SignedClient:
        """Return a client of Flower's Fleet API that signs its requests."""
        return SignedClient(
            self.address, self.authority, lambda path, body: signed_headers(self.key, self.site_id, "POST", path, body)
        )

    @property
    def bound(self) -> Bound:
        """Return the largest accepted order: an adapter of float32 numbers, and a header with config and names."""
        return Bound(4 * self.parameters + SMALL, 4 * SMALL)


def _authority(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        ssl.create_default_context(cadata=content.decode("ascii"))
    except (OSError, ValueError, ssl.SSLError) as error:
        raise ConfigError(f"{path}: not a readable PEM certificate; ask the operator for ca.crt") from error
    return content
