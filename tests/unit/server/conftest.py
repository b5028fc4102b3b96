"""A federation of toy sites: deltas of two tensors, no model."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest

from server.screening import Answer
from shared.adapter import AdapterState
from shared.head import Head
from shared.messages import TrainOrder, TrainReply

Reply = Callable[[TrainOrder, str], Answer]


def state(value: float) -> AdapterState:
    return AdapterState({"b": np.full((2, 3), value, dtype=np.float32), "a": np.full(2, -value, dtype=np.float32)})


def answer_with(delta: AdapterState) -> Reply:
    """An honest site's answer with this delta."""

    def reply(order: TrainOrder, site_id: str) -> Answer:
        grown = Head(order.ledger.entries + 2, f"{site_id} after round {order.round}")
        content = TrainReply(order.run_id, order.round, order.nonce, site_id, delta, grown).to_record()
        return Answer(site_id, content, None, 100, 50)

    return reply


class ToyFleet:
    """Sites that answer by a function each; a function may give several answers, or none."""

    def __init__(self, sites: Mapping[str, Callable[[TrainOrder, str], Answer | list[Answer]]]) -> None:
        self.sites, self.orders = dict(sites), list[Mapping[str, TrainOrder]]()

    def connected(self) -> tuple[str, ...]:
        return tuple(self.sites)

    def ask(self, orders: Mapping[str, TrainOrder], deadline: float) -> Iterator[Answer]:
        assert deadline > 0
        self.orders.append(orders)
        for site_id, order in orders.items():
            answers = self.sites[site_id](order, site_id)
            yield from answers if isinstance(answers, list) else [answers]


@pytest.fixture
def toy_state() -> Callable[[float], AdapterState]:
    return state


@pytest.fixture
def honest() -> Callable[[AdapterState], Reply]:
    return answer_with


@pytest.fixture
def toy_fleet() -> type[ToyFleet]:
    return ToyFleet
