"""The two messages between server and site, the order and the reply, and their wire form.

A reply has a white-list of fields. Each is either public by declaration (run, round, site, nonce, end of the site's ledger,
names and shapes of the adapter) or a release of the privacy plan (the delta, and noised sums if the config wants them). One
further field, the electricity of the round, is neither; it leaves a site only in a run without privacy and only if the
site's policy allows it. No field can hold free text.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Protocol, Self

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from shared.adapters.state import AdapterState
from shared.config.aggregation import EncodingName
from shared.config.run import RunConfig
from shared.errors import MessageError
from shared.wire.chain_head import ChainHead
from shared.wire.encodings import ORDERS, REPLIES, Form
from shared.wire.packed_arrays import packed, spec_text, unpacked
from shared.wire.white_list import HEADER, LEDGER, RECORD, head_fields, head_of, header_of, numbers_of

_ARRAYS = "adapter"
_NUMBERS = "numbers"
_SPEC = "spec"
_RELEASED = "released"
_ENERGY = "energy"
VECTOR = "masked"
TRAIN, READY, MASKED = "train", "train.ready", "train.masked"  # types of Flower's messages
SUMS = frozenset({"loss", "hits", "records"})
ORDER_FIELDS = {
    "run_id": str,
    "round": int,
    "nonce": str,
    "attempt": int,
    "cohort": int,
    "version": str,
    "config": str,
    "config_digest": str,
    **LEDGER,
    **RECORD,
}
REPLY_FIELDS = {"run_id": str, "round": int, "nonce": str, "site_id": str, **LEDGER}
LARGEST_SUM = 1e18  # largest released sum; a site declares at most 10^12 records
LARGEST_KWH = 1e6  # largest electricity of one round at one site: a megawatt for six weeks


class Order(Protocol):
    """What a server sends to a site: an order to train, or the order of the second phase of a secure sum."""

    @property
    def run_id(self) -> str:
        """Return the id of the run."""

    @property
    def kind(self) -> str:
        """Return the type of Flower's message."""

    @property
    def round(self) -> int:
        """Return the number of the round."""

    @property
    def nonce(self) -> str:
        """Return the random name of the order, or of the attempt at a secure sum."""

    def to_record(self) -> RecordDict:
        """Return the wire form."""


@dataclass(frozen=True)
class Envelope:
    """What the orders of a round have in common, prepared once for all sites.

    Attributes
    ----------
    config
        Configuration of the run.
    adapter
        Adapter at the start of the round.
    """

    config: RunConfig
    adapter: AdapterState

    @cached_property
    def text(self) -> str:
        """The config as canonical JSON."""
        return self.config.canonical()

    @cached_property
    def digest(self) -> str:
        """The digest of the config."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def arrays(self) -> ArrayRecord:
        """The numbers of the adapter, in their form on the wire."""
        return _arrays(self.adapter, ORDERS[self.config.aggregation.encoding])


@dataclass(frozen=True)
class TrainOrder:
    """Order from server to site: train this adapter for one round of this run.

    Attributes
    ----------
    run_id
        Id of the run.
    round
        Number of the round, from 1.
    nonce
        Random name of this order; the reply repeats it.
    config
        Configuration of the run.
    adapter
        Adapter at the start of the round.
    cohort
        Number of sites asked in this round; a site's policy sets a minimum.
    version
        Hushtune version of the server; a site's policy lists accepted ones.
    ledger
        End of the site's ledger when the server last heard of it, so that the site detects truncation.
    record
        End of the server's chain of committed rounds, which the site keeps for the same reason.
    attempt
        Number of the attempt at the round, from 1; all sites of an attempt at a secure sum have the same nonce.
    envelope
        The same config and adapter, prepared for all orders of the round; None prepares them for this order alone.
    """

    run_id: str
    round: int
    nonce: str
    config: RunConfig
    adapter: AdapterState
    cohort: int
    version: str
    ledger: ChainHead = field(default_factory=ChainHead)
    record: ChainHead = field(default_factory=ChainHead)
    attempt: int = 1
    envelope: Envelope | None = field(default=None, repr=False, compare=False)

    @property
    def kind(self) -> str:
        """Return the type of Flower's message: under secure sums this order asks only for the first phase."""
        return READY if self.config.adds_up_under_masks else TRAIN

    def to_record(self) -> RecordDict:
        """Return the wire form; the config travels as canonical JSON with its digest."""
        common = self.envelope or Envelope(self.config, self.adapter)
        header: dict[str, str | int] = {
            "run_id": self.run_id,
            "round": self.round,
            "nonce": self.nonce,
            "attempt": self.attempt,
            "cohort": self.cohort,
            "version": self.version,
            "config": common.text,
            "config_digest": common.digest,
            **head_fields("ledger", self.ledger),
            **head_fields("record", self.record),
        }
        return _record(self.adapter, header, common.arrays)

    @classmethod
    def from_record(cls, record: RecordDict) -> Self:
        """Parse an order.

        Raises
        ------
        MessageError
            The message does not have exactly the agreed fields, its config does not have the digest in it, or its numbers
            are not encoded as the config says.
        """
        adapter, header, form = _parse(record, ORDER_FIELDS, "order", ORDERS)
        try:
            config, digest = _config_of(header["config"])
        except ValueError as error:
            raise MessageError(
                "order: its config is not valid for the hushtune installed here; compare the versions of server and site"
            ) from error
        if digest != header["config_digest"]:
            raise MessageError(
                "order: its config does not have the digest given with it; compare the versions of server and site"
            )
        if form is not ORDERS[config.aggregation.encoding]:
            raise MessageError(
                "order: its numbers are not in the form of aggregation.encoding in its config; compare the versions"
            )
        return cls(
            header["run_id"],
            header["round"],
            header["nonce"],
            config,
            adapter,
            header["cohort"],
            header["version"],
            head_of(header, "ledger", "order"),
            head_of(header, "record", "order"),
            header["attempt"],
        )


@dataclass(frozen=True)
class TrainReply:
    """Reply from site to server: the delta of one round, the end of the site's ledger, and noised sums if the plan has them.

    ``kwh`` is the electricity of the round at the site. It is set only in a run without privacy, because no noise covers it,
    and only if the site's policy allows it. ``encoding`` is the form of the delta on the wire; a delta that leaves a site is
    the result of `shared.wire.encodings.as_replied`, so the server decodes the same numbers.
    """

    run_id: str
    round: int
    nonce: str
    site_id: str
    delta: AdapterState
    ledger: ChainHead = field(default_factory=ChainHead)
    released: Mapping[str, float] = field(default_factory=dict)
    kwh: float | None = None
    encoding: EncodingName = "float32"

    def to_record(self) -> RecordDict:
        """Return the wire form."""
        header: dict[str, str | int] = {
            "run_id": self.run_id,
            "round": self.round,
            "nonce": self.nonce,
            "site_id": self.site_id,
            **head_fields("ledger", self.ledger),
        }
        record = _record(self.delta, header, _arrays(self.delta, REPLIES[self.encoding]))
        if self.released:
            record[_RELEASED] = ConfigRecord(dict(self.released))
        if self.kwh is not None:
            record[_ENERGY] = ConfigRecord({"kwh": self.kwh})
        return record

    @classmethod
    def from_record(cls, record: RecordDict) -> Self:
        """Parse a reply.

        Raises
        ------
        MessageError
            The message does not have exactly the agreed fields.
        """
        released, kwh = _sums(record.get(_RELEASED)), _kwh(record.get(_ENERGY))
        plain = RecordDict({name: part for name, part in record.items() if name not in (_RELEASED, _ENERGY)})
        delta, header, form = _parse(plain, REPLY_FIELDS, "reply", REPLIES)
        [encoding] = (name for name, known in REPLIES.items() if known is form)
        names = header["run_id"], header["round"], header["nonce"], header["site_id"]
        return cls(*names, delta, head_of(header, "ledger", "reply"), released, kwh, encoding)


def outgoing(record: RecordDict) -> tuple[frozenset[str], int]:
    """Return what a reply takes out of a site.

    Parameters
    ----------
    record
        Wire form of a reply.

    Returns
    -------
    tuple[frozenset[str], int]
        Names of all fields except arrays and released sums, and the size of all arrays in bytes.
    """
    arrays = [part for part in record.values() if isinstance(part, ArrayRecord)]
    names = {name for key, part in record.items() if key not in (_ARRAYS, _RELEASED, VECTOR) for name in part}
    return frozenset(names), sum(len(array.data) for part in arrays for array in part.values())


@lru_cache(maxsize=1)  # all orders of a run carry the same config, and that of 1,000 sites takes 15 ms to read
def _config_of(text: str) -> tuple[RunConfig, str]:
    """Return a config and its digest from canonical JSON; neither can be changed, so orders may share them."""
    config = RunConfig.model_validate_json(text)
    return config, config.digest()


def _sums(record: object) -> dict[str, float]:
    """Return the noised sums of a reply; empty if the reply has none.

    Raises
    ------
    MessageError
        They are not numbers of a possible size with known names.
    """
    if record is None:
        return {}
    sums = dict(record) if isinstance(record, ConfigRecord) else {}
    if not sums or not set(sums) <= SUMS or any(type(v) is not float or not abs(v) <= LARGEST_SUM for v in sums.values()):
        raise MessageError(f"reply: its released sums are not numbers up to {LARGEST_SUM:g} under {', '.join(sorted(SUMS))}")
    return {name: float(value) for name, value in sums.items()}  # type: ignore[arg-type]  # the types were checked


def _kwh(record: object) -> float | None:
    """Return the electricity of a reply in kWh; None if the reply has none.

    Raises
    ------
    MessageError
        It is not one number from 0 to ``LARGEST_KWH``.
    """
    if record is None:
        return None
    found = dict(record) if isinstance(record, ConfigRecord) else {}
    kwh = found.get("kwh")
    if set(found) != {"kwh"} or not isinstance(kwh, float) or not 0 <= kwh <= LARGEST_KWH:
        raise MessageError(f"reply: its energy is not one number of kWh from 0 to {LARGEST_KWH:g}")
    return kwh


def _arrays(state: AdapterState, form: Form) -> ArrayRecord:
    return ArrayRecord({_NUMBERS: Array(form.write(packed(state)))})


def _record(state: AdapterState, header: dict[str, str | int], arrays: ArrayRecord) -> RecordDict:
    return RecordDict({_ARRAYS: arrays, HEADER: ConfigRecord({**header, _SPEC: spec_text(state.spec)})})


def _parse(
    record: RecordDict, types: Mapping[str, type], what: str, forms: Mapping[EncodingName, Form]
) -> tuple[AdapterState, dict[str, Any], Form]:
    """Return the adapter, the header and the form of the numbers of a message that holds exactly these."""
    header = header_of(record, {_ARRAYS, HEADER}, {**types, _SPEC: str}, what)
    arrays = record[_ARRAYS]
    if not isinstance(arrays, ArrayRecord) or set(arrays) != {_NUMBERS}:
        raise MessageError(f"{what}: does not hold exactly one array, '{_NUMBERS}'")
    known = {form.dtype: form for form in forms.values()}
    form = known.get(arrays[_NUMBERS].dtype)
    if form is None:
        raise MessageError(f"{what}: its array is not of {' or '.join(known)}")
    return unpacked(header[_SPEC], numbers_of(arrays[_NUMBERS], form.dtype, what), what, form), header, form
