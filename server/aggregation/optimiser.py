"""The server's optimiser: it turns the aggregated delta of a round into the change of the adapter."""

from collections.abc import Callable, Mapping

import numpy as np

from server.aggregation.method import Aggregate, Memory, Method, Setting
from shared.adapters.state import AdapterState
from shared.config.aggregation import AggregationSection, OptimiserName

Step = Callable[[AdapterState, Memory, AggregationSection], Aggregate]


class Optimised(Method):
    """A method of aggregation, followed by the optimiser of the run.

    Under differential privacy an optimiser is post-processing: it sees the aggregated delta only, so it costs no epsilon.
    """

    def __init__(self, inner: Method, setting: Setting) -> None:
        self._inner, self._setting = inner, setting

    def fold(self, delta: AdapterState, weight: float) -> None:
        """Pass the delta of one site to the method."""
        self._inner.fold(delta, weight)

    def result(self) -> Aggregate:
        """Return the optimiser's step, with the states of method and optimiser for the next round."""
        found, section = self._inner.result(), self._setting.section
        step = STEPS[section.optimiser](found.change, self._setting.memory, section)
        return Aggregate(step.change, {**found.memory, **step.memory}, found.lost)


def plain(delta: AdapterState, memory: Memory, section: AggregationSection) -> Aggregate:
    """Return the aggregated delta as it is (federated averaging, McMahan et al. 2017, arXiv 1602.05629)."""
    return Aggregate(delta)


def momentum(delta: AdapterState, memory: Memory, section: AggregationSection) -> Aggregate:
    """Return v = momentum v + delta, in float32, and keep v (FedAvgM, Hsu et al. 2019, arXiv 1909.06335)."""
    share, before = np.float32(section.momentum), memory.get("momentum")
    if before is None:
        return Aggregate(delta, {"momentum": delta})
    velocity = AdapterState({name: share * array for name, array in before.arrays.items()}).add(delta)
    return Aggregate(velocity, {"momentum": velocity})


STEPS: Mapping[OptimiserName, Step] = {"plain": plain, "momentum": momentum}
