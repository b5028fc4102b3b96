"""The memory of accepted requests, so that none is accepted twice; its size for each key is fixed.

A forgotten request is never accepted again: for each key the time of the latest forgotten request is kept, and only later
requests count. So neither a clock that is set forward and back nor a flood of requests lets a request pass twice. The price:
a site whose clock is set back may be refused until it has caught up with the oldest remembered request, at most twice the
window of ``Claim.is_current``. Only if the clocks of server and site are both set back by more must the server be started
again.
"""

import heapq
import threading
from dataclasses import dataclass, field

from shared.identity.request_signature import Claim

KEPT = 1_000  # requests of one key that are remembered, about 130 kB: a quarter of an hour of a site that makes one a second


@dataclass
class _Accepted:
    """The latest requests of one key, by name; names are in the order of their moments."""

    names: set[bytes] = field(default_factory=set)
    oldest_first: list[bytes] = field(default_factory=list)
    forgotten: bytes = b""

    def add(self, name: bytes) -> bool:
        """Remember a name; return False if it was there, or may have been."""
        if name <= self.forgotten or name in self.names:
            return False
        self.names.add(name)
        heapq.heappush(self.oldest_first, name)
        if len(self.names) > KEPT:
            self.forgotten = heapq.heappop(self.oldest_first)
            self.names.remove(self.forgotten)
        return True


class Replays:
    """The accepted requests of each key, also of a key that is removed and admitted again; any thread may use it."""

    def __init__(self) -> None:
        self._accepted: dict[bytes, _Accepted] = {}
        self._lock = threading.Lock()

    def is_new(self, claim: Claim) -> bool:
        """Remember a request with a valid signature; return whether it was seen for the first time.

        A signature can be changed without the key, so a request is known by its moment and its nonce.
        """
        milliseconds = int(claim.moment.replace(".", ""))
        name = milliseconds.to_bytes(8, "big") + bytes.fromhex(claim.nonce)  # one small object, since there are many
        with self._lock:
            return self._accepted.setdefault(claim.key, _Accepted()).add(name)
