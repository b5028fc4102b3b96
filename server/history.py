"""The rounds of a run as plain rows, so that a restarted server can still report the earlier ones."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from server.aggregation import Memory
from server.rounds import Round
from server.screening import Rejected
from shared.adapters.state import AdapterState
from shared.metrics.bootstrap import Interval
from shared.wire.chain_head import ChainHead


def to_row(done: Round) -> dict[str, Any]:
    """Return a round as JSON values, without its adapter."""
    return {
        "number": done.number,
        "committed": done.committed,
        "metrics": {name: asdict(interval) for name, interval in done.metrics.items()},
        "accepted": list(done.accepted),
        "rejected": [asdict(rejected) for rejected in done.rejected],
        "missing": list(done.missing),
        "bytes_down": done.bytes_down,
        "bytes_up": done.bytes_up,
        "stages": dict(done.stages),
        "adapter_digest": done.adapter_digest,
        "released": {site: dict(sums) for site, sums in done.released.items()},
        "ledgers": {site: asdict(head) for site, head in done.ledgers.items()},
        "record": asdict(done.record),
        "site_kwh": dict(done.site_kwh),
        "replies": dict(done.replies),
        "lost": done.lost,
    }


def from_row(row: Mapping[str, Any], adapter: AdapterState, memory: Memory | None = None) -> Round:
    """Rebuild the round of a row, with its adapter and the state of the aggregation, which rows leave out.

    Raises
    ------
    KeyError, TypeError, ValueError or AttributeError
        The row has another form.
    """
    return Round(
        number=int(row["number"]),
        committed=bool(row["committed"]),
        adapter=adapter,
        metrics={name: Interval(**interval) for name, interval in row["metrics"].items()},
        accepted=tuple(row["accepted"]),
        rejected=tuple(Rejected(**rejected) for rejected in row["rejected"]),
        missing=tuple(row["missing"]),
        bytes_down=row["bytes_down"],
        bytes_up=row["bytes_up"],
        stages=row["stages"],
        adapter_digest=row["adapter_digest"],
        released=row["released"],
        ledgers={site: ChainHead(**head) for site, head in row["ledgers"].items()},
        record=ChainHead(**row["record"]),
        site_kwh=row.get("site_kwh", {}),
        replies=row.get("replies", {}),
        lost=row.get("lost"),
        memory=memory or {},
    )
