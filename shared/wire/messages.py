"""What crosses between server and site, and nothing else: the order, the reply, and their wire form.

A reply has a white-list of fields. Each is public by declaration (run, round, site, nonce, where the site's ledger ends) or
a release of the privacy plan (the delta, and noised sums where the config asks for them). One more, the electricity of the
round, is neither, and leaves only in a run without privacy, where the site's policy lets it. There is no field for a text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Self

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import MessageError
from shared.wire.chain_head import Head

_ARRAYS = "adapter"
_HEADER = "header"
_RELEASED = "released"
_ENERGY = "energy"
NUMPY_MAGIC = b"\x93NUMPY"
LEDGER = {"ledger_entries": int, "ledger_hash": str}
RECORD = {"record_entries": int, "record_hash": str}
SUMS = frozenset({"loss", "hits", "records"})
ORDER_FIELDS = {
    "run_id": str,
    "round": int,
    "nonce": str,
    "cohort": int,
    "version": str,
    "config": str,
    "config_digest": str,
    **LEDGER,
    **RECORD,
}
NAMES = ("run_id", "nonce", "site_id", "version")
SHORT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,127}")  # no separator of a path, and none of text
HEADER_LIMIT = 4096  # bytes of numpy's own header; it takes 128 for our arrays


@dataclass(frozen=True)
class TrainOrder:
    """Server to site: train this adapter for one round of this run.

    ``cohort`` is how many sites are asked in this round, and ``version`` the server's hushtune: a site's policy has
    limits on both. ``ledger`` is where the site's ledger ended when the server last heard of it, ``record`` where the
    server's own chain of committed rounds ends: each side keeps the other's.
    """

    run_id: str
    round: int
    nonce: str
    config: RunConfig
    adapter: AdapterState
    cohort: int
    version: str
    ledger: Head = field(default_factory=Head)
    record: Head = field(default_factory=Head)

    def to_record(self) -> RecordDict:
        """The wire form; the config travels as canonical JSON with its digest."""
        header: dict[str, str | int] = {
            "run_id": self.run_id,
            "round": self.round,
            "nonce": self.nonce,
            "cohort": self.cohort,
            "version": self.version,
            "config": self.config.canonical(),
            "config_digest": self.config.digest(),
            **_head_fields("ledger", self.ledger),
            **_head_fields("record", self.record),
        }
        return _record(self.adapter, header)

    @classmethod
    def from_record(cls, record: RecordDict) -> Self:
        """Parse an order.

        Raises:
            MessageError: it does not have exactly the agreed fields, or the config is not the one of its digest.
        """
        adapter, header = _parse(record, ORDER_FIELDS, "order")
        try:
            config = RunConfig.model_validate_json(str(header["config"]))
        except ValueError as error:
            raise MessageError("order: its config is not one that this hushtune knows; compare versions") from error
        if config.digest() != header["config_digest"]:
            raise MessageError("order: its config does not have the digest that it names; compare versions")
        return cls(
            str(header["run_id"]),
            int(header["round"]),
            str(header["nonce"]),
            config,
            adapter,
            int(header["cohort"]),
            str(header["version"]),
            _head_of(header, "ledger"),
            _head_of(header, "record"),
        )


@dataclass(frozen=True)
class TrainReply:
    """Site to server: the delta of one round, where the site's ledger ends, and noised sums where the plan has them.

    ``kwh`` is what the round took at the site, where its policy lets that leave; no noise covers it, so never under privacy.
    """

    run_id: str
    round: int
    nonce: str
    site_id: str
    delta: AdapterState
    ledger: Head = field(default_factory=Head)
    released: Mapping[str, float] = field(default_factory=dict)
    kwh: float | None = None

    def to_record(self) -> RecordDict:
        """The wire form."""
        header: dict[str, str | int] = {
            "run_id": self.run_id,
            "round": self.round,
            "nonce": self.nonce,
            "site_id": self.site_id,
            **_head_fields("ledger", self.ledger),
        }
        record = _record(self.delta, header)
        if self.released:
            record[_RELEASED] = ConfigRecord(dict(self.released))
        if self.kwh is not None:
            record[_ENERGY] = ConfigRecord({"kwh": self.kwh})
        return record

    @classmethod
    def from_record(cls, record: RecordDict) -> Self:
        """Parse a reply.

        Raises:
            MessageError: it does not have exactly the agreed fields.
        """
        released, kwh = _sums(record.get(_RELEASED)), _kwh(record.get(_ENERGY))
        plain = RecordDict({name: part for name, part in record.items() if name not in (_RELEASED, _ENERGY)})
        delta, header = _parse(plain, {"run_id": str, "round": int, "nonce": str, "site_id": str, **LEDGER}, "reply")
        names = str(header["run_id"]), int(header["round"]), str(header["nonce"]), str(header["site_id"])
        return cls(*names, delta, _head_of(header, "ledger"), released, kwh)


def outgoing(record: RecordDict) -> tuple[frozenset[str], int]:
    """What a reply's record takes out of a site: the names beside its arrays and released sums, and the arrays' bytes."""
    arrays = [part for part in record.values() if isinstance(part, ArrayRecord)]
    names = {name for key, part in record.items() if key not in (_ARRAYS, _RELEASED) for name in part}
    return frozenset(names), sum(len(array.data) for part in arrays for array in part.values())


def _head_fields(name: str, head: Head) -> dict[str, str | int]:
    return {f"{name}_entries": head.entries, f"{name}_hash": head.hash}


def _head_of(header: Mapping[str, str | int], name: str) -> Head:
    return Head(int(header[f"{name}_entries"]), str(header[f"{name}_hash"]))


def _sums(record: object) -> dict[str, float]:
    """The noised sums of a reply, none where it has no such part.

    Raises:
        MessageError: they are not finite numbers under the known names.
    """
    if record is None:
        return {}
    sums = dict(record) if isinstance(record, ConfigRecord) else {}
    if not set(sums) or not set(sums) <= SUMS or any(type(v) is not float or not isfinite(v) for v in sums.values()):
        raise MessageError(f"reply: its released sums are not finite numbers under {', '.join(sorted(SUMS))}")
    return {name: float(value) for name, value in sums.items()}  # type: ignore[arg-type]  # the types were checked


def _kwh(record: object) -> float | None:
    """The electricity in a reply, None where it has no such part.

    Raises:
        MessageError: it is no amount.
    """
    if record is None:
        return None
    found = dict(record) if isinstance(record, ConfigRecord) else {}
    kwh = found.get("kwh")
    if set(found) != {"kwh"} or not isinstance(kwh, float) or not isfinite(kwh) or kwh < 0:
        raise MessageError("reply: its energy is not one finite number of kWh, 0 or more")
    return kwh


def _record(state: AdapterState, header: dict[str, str | int]) -> RecordDict:
    arrays = ArrayRecord({name: Array(np.ascontiguousarray(array)) for name, array in state.arrays.items()})
    return RecordDict({_ARRAYS: arrays, _HEADER: ConfigRecord(dict(header))})


def _parse(record: RecordDict, types: dict[str, type], what: str) -> tuple[AdapterState, dict[str, str | int]]:
    """Check a record against the white-list: exactly these fields, of exactly these types, and float32 arrays."""
    arrays, header = record.get(_ARRAYS), record.get(_HEADER)
    if set(record) != {_ARRAYS, _HEADER} or not isinstance(arrays, ArrayRecord) or not isinstance(header, ConfigRecord):
        raise MessageError(f"{what}: does not hold exactly the records '{_ARRAYS}' and '{_HEADER}'")
    if set(header) != set(types) or any(type(header[name]) is not kind for name, kind in types.items()):
        raise MessageError(f"{what}: its header does not hold exactly the fields {', '.join(types)}")
    if not all(SHORT_NAME.fullmatch(str(header[name])) for name in NAMES if name in types):
        raise MessageError(f"{what}: a field of its header is no short name, so it may not become part of a path")
    state = AdapterState({name: _numbers(array, what) for name, array in arrays.items()})
    return state, {name: header[name] for name in types}  # type: ignore[misc]  # the types were checked


def _numbers(array: Array, what: str) -> np.ndarray:
    """An array's numbers; Flower reads them without pickle."""
    # The declared shape and the size of the data must agree before anything is allocated or parsed.
    expected = int(np.prod([int(n) for n in array.shape], dtype=object)) * np.dtype(np.float32).itemsize
    if array.dtype != "float32" or not 0 <= len(array.data) - expected <= HEADER_LIMIT:
        raise MessageError(f"{what}: an array is not float32 numbers of its declared shape")
    if not array.data.startswith(NUMPY_MAGIC):
        raise MessageError(f"{what}: an array is not in numpy's plain format")
    try:
        numbers = array.numpy()
    except Exception as error:  # a parser of foreign bytes may raise anything
        raise MessageError(f"{what}: an array cannot be read as plain numbers") from error
    if not isinstance(numbers, np.ndarray) or numbers.dtype != np.float32 or numbers.shape != tuple(array.shape):
        raise MessageError(f"{what}: an array is not float32 numbers of its declared shape")
    return numbers
