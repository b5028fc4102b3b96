"""A federation of toy sites: deltas of two tensors, and no model."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from screened import head

from server.screening import Answer
from shared.adapters.state import AdapterState
from shared.wire.messages import TrainOrder, TrainReply

Reply = Callable[[TrainOrder, str], Answer]


def toy_state(value: float) -> AdapterState:
    """Return an adapter or a delta of two small tensors."""
    return AdapterState({"b": np.full((2, 3), value, dtype=np.float32), "a": np.full(2, -value, dtype=np.float32)})


def honest(delta: AdapterState) -> Reply:
    """Return an honest site's answer with this delta."""

    def reply(order: TrainOrder, site_id: str) -> Answer:
        grown = head(order.ledger.entries + 2, f"{site_id} after round {order.round}")
        content = TrainReply(order.run_id, order.round, order.nonce, site_id, delta, grown).to_record()
        return Answer(site_id, content, None, 100, 50)

    return reply


class ToyFleet:
    """Sites that answer by a function each; a function may give several answers, or none."""

    def __init__(self, sites: Mapping[str, Callable[[TrainOrder, str], Answer | list[Answer]]]) -> None:
        self.sites, self.orders = dict(sites), list[Mapping[str, TrainOrder]]()

    def connected(self) -> tuple[str, ...]:
        """Return the names of all sites."""
        return tuple(self.sites)

    def ask(self, orders: Mapping[str, TrainOrder], deadline: float) -> Iterator[Answer]:
        """Yield the answers of each site that has an order."""
        assert deadline > 0
        self.orders.append(orders)
        for site_id, order in orders.items():
            answers = self.sites[site_id](order, site_id)
            yield from answers if isinstance(answers, list) else [answers]
