"""Extend the server's hash chain of committed rounds; a link binds an adapter, the replies in it and all sites' ledgers.

The server extends the chain; each site recomputes the chain from a run's report, and compares it with its own ledger.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from shared.ops.canonical_json import json_digest
from shared.wire.chain_head import ChainHead


def extend(
    record: ChainHead,
    run_id: str,
    number: int,
    adapter_digest: str,
    ledgers: Mapping[str, ChainHead],
    replies: Mapping[str, str] | None = None,
) -> ChainHead:
    """Return the chain head after a round: SHA-256 over the head before, the round, its adapter, ledgers and replies.

    Each order carries this head, and the site writes it into its own ledger, so server and site countersign each other.

    Parameters
    ----------
    record
        The chain head before the round.
    run_id, number
        The run and the round.
    adapter_digest
        Digest of the adapter after the round.
    ledgers
        The chain head of each site's ledger.
    replies
        Digest of each reply that was accepted; none where the round must not show them.
    """
    content: dict[str, Any] = {
        "prev": record.hash,
        "run_id": run_id,
        "round": number,
        "adapter": adapter_digest,
        "ledgers": {site: asdict(head) for site, head in ledgers.items()},
    }
    if replies:  # a chain of an earlier version, or of a run that lists no replies, stays as it was
        content["replies"] = dict(replies)
    return ChainHead(record.entries + 1, json_digest(content))
