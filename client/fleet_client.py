"""A client of Flower's Fleet API that signs each request, and stops reading an answer that is longer than an honest one."""

import ssl
from collections.abc import Callable
from typing import Any

import httpx
from flwr.supernode.fleet_http_client import FleetHttpClient

from shared.wire.parts import PART, SMALL

TYPE = "application/x-protobuf"
LARGE = "/v1/fleet/pull-object"  # the only request whose answer holds a part of a message
SECONDS = 30.0  # the longest time to connect, and between two pieces of an answer


class ForeignAnswer(ValueError):
    """An answer that no hushtune server gives: too large, compressed, or not of the agreed form."""


class SignedClient(FleetHttpClient):
    """Flower's client with our own transport: signed requests, bounded answers, no redirects.

    Parameters
    ----------
    address
        Host:port of the server.
    authority
        Certificate of the authority in PEM; None means no TLS.
    sign
        Returns the headers of a request to a path with a body.
    """

    def __init__(self, address: str, authority: bytes | None, sign: Callable[[str, bytes], dict[str, str]]) -> None:
        verify: ssl.SSLContext | bool = False
        if authority is not None:
            verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            verify.load_verify_locations(cadata=authority.decode("ascii"))
        self._base, self._sign = f"{'http' if authority is None else 'https'}://{address}", sign
        self._client = httpx.Client(verify=verify, timeout=SECONDS, headers={"accept-encoding": "identity"})

    def _unary_unary(
        self, *, path: str, rpc_method: str, request: Any, response_type: type[Any], timeout: float | None = None
    ) -> Any:
        """Make one request.

        Raises
        ------
        httpx.HTTPError
            The server does not answer, or not with success.
        ForeignAnswer
            The answer is larger than an honest one, or has another form.
        """
        body = request.SerializeToString(deterministic=True)
        headers = {"content-type": TYPE, "accept": TYPE, **self._sign(path, body)}
        most, content = PART if path == LARGE else SMALL, bytearray()
        with self._client.stream(
            "POST", self._base + path, content=body, headers=headers, timeout=timeout or SECONDS
        ) as answer:
            answer.raise_for_status()
            for piece in answer.iter_raw():
                content += piece
                if len(content) > most:
                    raise ForeignAnswer(f"more than {most:,} bytes")
        return _parsed(bytes(content), response_type, path)


def _parsed(content: bytes, kind: type[Any], path: str) -> Any:
    answer = kind()
    try:
        answer.ParseFromString(content)
    except Exception as error:  # the parser of foreign bytes
        raise ForeignAnswer(f"the answer to {path} has another form") from error
    return answer
