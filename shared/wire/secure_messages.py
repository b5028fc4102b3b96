"""The messages of a secure sum: the reply of the first phase, and the order and the reply of the second.

The order of the first phase is a `TrainOrder`. As there, each message has a white-list of fields, and none can hold text.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from shared.errors import MessageError
from shared.wire.announcement import Announcement
from shared.wire.chain_head import ChainHead
from shared.wire.messages import MASKED, VECTOR
from shared.wire.white_list import HEADER, LEDGER, SHORT_NAME, head_fields, head_of, header_of, numbers_of

Words = npt.NDArray[np.uint32]
_NAMES: Mapping[str, type] = {"run_id": str, "round": int, "nonce": str}
_ANNOUNCED: Mapping[str, type] = {"site_id": str, "key": bytes, "signature": bytes}
KEY_BYTES = 32
MOST_SIGNATURE_BYTES = 128  # longest ECDSA signature on P-384 in DER
MOST_SITES = 10_000


@dataclass(frozen=True)
class ReadyReply:
    """Reply from site to server: the sum is computed, and this is the site's key for the attempt."""

    run_id: str
    round: int
    nonce: str
    announced: Announcement

    @property
    def site_id(self) -> str:
        """Return the name of the site that replies."""
        return self.announced.site_id

    def to_record(self) -> RecordDict:
        """Return the wire form."""
        each = self.announced
        names = {"run_id": self.run_id, "round": self.round, "nonce": self.nonce}
        return _only_header({**names, "site_id": each.site_id, "key": each.key, "signature": each.signature})

    @classmethod
    def from_record(cls, record: RecordDict) -> Self:
        """Parse a reply.

        Raises
        ------
        MessageError
            The message does not have exactly the agreed fields.
        """
        header = header_of(record, {HEADER}, {**_NAMES, **_ANNOUNCED}, "reply of a secure sum")
        announced = _announcement(header["site_id"], header["key"], header["signature"])
        return cls(header["run_id"], header["round"], header["nonce"], announced)


@dataclass(frozen=True)
class MaskedOrder:
    """Order from server to site: these sites are ready; send the masked vector."""

    run_id: str
    round: int
    nonce: str
    announcements: tuple[Announcement, ...]

    @property
    def kind(self) -> str:
        """Return the type of Flower's message."""
        return MASKED

    def digest(self) -> str:
        """Return the SHA-256 of everything in the order, 64 hexadecimal digits."""
        listed = [(each.site_id, each.key.hex(), each.signature.hex()) for each in self.announcements]
        return hashlib.sha256(json.dumps([self.run_id, self.round, self.nonce, listed]).encode()).hexdigest()

    def to_record(self) -> RecordDict:
        """Return the wire form."""
        return _only_header(
            {
                "run_id": self.run_id,
                "round": self.round,
                "nonce": self.nonce,
                "sites": [each.site_id for each in self.announcements],
                "keys": [each.key for each in self.announcements],
                "signatures": [each.signature for each in self.announcements],
            }
        )

    @classmethod
    def from_record(cls, record: RecordDict) -> Self:
        """Parse an order.

        Raises
        ------
        MessageError
            The message does not have exactly the agreed fields.
        """
        types = {**_NAMES, "sites": list, "keys": list, "signatures": list}
        header = header_of(record, {HEADER}, types, "order of a secure sum")
        lists = header["sites"], header["keys"], header["signatures"]
        if len({len(each) for each in lists}) != 1 or len(lists[0]) > MOST_SITES:
            raise MessageError("order of a secure sum: its lists of sites, keys and signatures differ in length")
        announced = tuple(_announcement(*each) for each in zip(*lists, strict=True))
        return cls(header["run_id"], header["round"], header["nonce"], announced)


@dataclass(frozen=True)
class MaskedReply:
    """Reply from site to server: the site's noised and masked sum, and the end of its ledger."""

    run_id: str
    round: int
    nonce: str
    site_id: str
    vector: Words = field(repr=False)
    ledger: ChainHead = field(default_factory=ChainHead)

    def to_record(self) -> RecordDict:
        """Return the wire form."""
        record = _only_header(
            {
                "run_id": self.run_id,
                "round": self.round,
                "nonce": self.nonce,
                "site_id": self.site_id,
                **head_fields("ledger", self.ledger),
            }
        )
        record[VECTOR] = ArrayRecord({VECTOR: Array(np.ascontiguousarray(self.vector, dtype="<u4"))})
        return record

    @classmethod
    def from_record(cls, record: RecordDict) -> Self:
        """Parse a reply.

        Raises
        ------
        MessageError
            The message does not have exactly the agreed fields.
        """
        what = "reply of a secure sum"
        header = header_of(record, {HEADER, VECTOR}, {**_NAMES, "site_id": str, **LEDGER}, what)
        arrays = record[VECTOR]
        if not isinstance(arrays, ArrayRecord) or set(arrays) != {VECTOR}:
            raise MessageError(f"{what}: does not hold exactly one vector")
        vector = numbers_of(arrays[VECTOR], "uint32", what)
        if vector.ndim != 1:
            raise MessageError(f"{what}: its vector has {vector.ndim} dimensions, and one is agreed")
        names = header["run_id"], header["round"], header["nonce"], header["site_id"]
        return cls(*names, vector, head_of(header, "ledger", what))


def words_digest(vector: Words) -> str:
    """Return the SHA-256 of a masked vector's little-endian words, 64 hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(vector, dtype="<u4").tobytes()).hexdigest()


def _only_header(values: Mapping[str, Any]) -> RecordDict:
    return RecordDict({HEADER: ConfigRecord(dict(values))})


def _announcement(site_id: Any, key: Any, signature: Any) -> Announcement:
    known = type(site_id) is str and type(key) is bytes and type(signature) is bytes
    if not known or not SHORT_NAME.fullmatch(site_id) or len(key) != KEY_BYTES or len(signature) > MOST_SIGNATURE_BYTES:
        raise MessageError("secure sum: an announcement is not a site's name, a key of 32 bytes and a signature")
    return Announcement(site_id, key, signature)
