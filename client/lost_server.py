"""Say in one sentence why a server cannot be reached, or why it refuses a site, and what to do."""

import ssl
from collections.abc import Iterator, Mapping

import httpx

from client.server_access import ServerAccess
from shared.errors import ConnectionRefused
from shared.identity.request_signature import WINDOW

HEARTBEAT = 10.0  # seconds; Flower drops a node that is silent for two of these intervals
NOT_ISSUED = "was not issued by the authority in server.ca; ask the operator for the right ca.crt, and check the address"
WRONG_HOST = "is for another name than this address; correct server.address, or ask the operator for one with this name"
CERTIFICATE_FLAWS: Mapping[int, str] = {  # keys: OpenSSL's error numbers (X509_V_ERR_...)
    9: "is not valid yet; check the clock of this machine",
    10: "has expired; check the clock of this machine, and ask the operator to renew the certificate",
    62: WRONG_HOST,
    64: WRONG_HOST,
}


class ServerGone(Exception):
    """The server does not answer, or does not know this connection any more; connect again. The text says why, if known.

    ``code`` is the reason as a short name, for the log.
    """

    def __init__(self, reason: str = "", code: str = "ended") -> None:
        super().__init__(reason)
        self.code = code


class IdentityInUse(ServerGone):
    """The server has another connection of this site: of a second client, or an old one that has not timed out yet."""


def refusal(access: ServerAccess, status: int) -> Exception:
    """Return the error for a server that answers a connecting site with this HTTP status."""
    address, site_id = access.address, access.site_id
    if status == 401:
        return ConnectionRefused(
            f"{address}: the server does not know this site's key; ask the operator to put {site_id}.pub into its "
            "sites folder"
        )
    if status == 403:
        return ConnectionRefused(
            f"{address}: the key of server.key belongs to another site than '{site_id}'; use this site's own key"
        )
    if status == 409:
        return IdentityInUse(
            f"{address}: another client is connected with the identity of site {site_id}, or was killed less than "
            f"{2 * HEARTBEAT:.0f} s ago; stop it",
            "identity_in_use",
        )
    if status == 412:
        return ServerGone(
            f"{address}: the clock of this machine and the server's differ by more than {WINDOW:.0f} s; set the clock",
            "clock",
        )
    return ServerGone(f"{address}: answered with status {status}", f"status_{status}")


def unreachable(address: str, error: httpx.TransportError) -> str:
    """Return why a server cannot be reached: the reason of the system where there is one."""
    reasons = (cause.strerror for cause in _causes(error) if isinstance(cause, OSError) and cause.strerror)
    return f"{address}: cannot be reached ({next(reasons, 'no answer in time, or the connection was closed')})"


def certificate_flaw(error: httpx.TransportError) -> str | None:
    """Return why TLS refused the server's certificate, and what to do; None if TLS failed for another reason."""
    refused = (cause for cause in _causes(error) if isinstance(cause, ssl.SSLCertVerificationError))
    return next((CERTIFICATE_FLAWS.get(getattr(cause, "verify_code", 0), NOT_ISSUED) for cause in refused), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and each error that led to it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
