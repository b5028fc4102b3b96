"""How accepted deltas become one: one pure function a file, chosen by ``METHODS``."""

from collections.abc import Callable, Mapping, Sequence

from server.aggregation.mean import mean
from shared.adapter import AdapterState

Aggregate = Callable[[Sequence[AdapterState], Sequence[float]], AdapterState]

METHODS: Mapping[str, Aggregate] = {"mean": mean}
