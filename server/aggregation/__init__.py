"""How accepted deltas become one: each method folds one delta after another, chosen by ``METHODS``."""

from collections.abc import Callable, Mapping
from typing import Protocol

from server.aggregation.mean import RunningMean
from shared.adapters.state import AdapterState, Spec


class Running(Protocol):
    """An aggregate in the making; its memory does not grow with the number of deltas, nor its result with their order."""

    def fold(self, delta: AdapterState, weight: float) -> None:
        """Take in one delta."""

    def result(self) -> AdapterState:
        """The aggregate of all deltas so far."""


Start = Callable[[Spec, float], Running]

METHODS: Mapping[str, Start] = {"mean": RunningMean}
