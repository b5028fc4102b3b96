"""A round that was committed with no site, for tests that change what matters to them."""

from typing import Any

import numpy as np

from server.rounds import Round
from shared.adapters.state import AdapterState
from shared.wire.chain_head import ChainHead

ADAPTER = AdapterState({"b": np.zeros(2, np.float32)})


def made_round(number: int, **changes: Any) -> Round:
    """Return the round of this number, with the given fields."""
    adapter = changes.get("adapter", ADAPTER)
    given: dict[str, Any] = {
        "committed": True,
        "adapter": adapter,
        "adapter_digest": adapter.digest(),
        **dict.fromkeys(("accepted", "rejected", "missing"), ()),
        **{name: {} for name in ("metrics", "released", "ledgers", "stages")},
        "record": ChainHead(),
        "bytes_down": 1,
        "bytes_up": 1,
    }
    return Round(number, **(given | changes))
