"""Read the sum of a round's vectors: a mean gradient of sites that share one noise, or a mean of noised deltas."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from privacy.dp.plan import PrivacyPlan
from privacy.secagg.delta_grid import DeltaGrid
from privacy.secagg.noise_shares import REACH, NoiseShares
from server.aggregation import Aggregate, Memory, Setting, begin
from server.aggregation.gradient_step import gradient_step
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig

Words = npt.NDArray[np.uint32]
Mean = npt.NDArray[np.float32]
MARGIN = 1.1  # a sum is rejected if its norm exceeds that of the expected noise by more than this factor


class SumReading(Protocol):
    """The interface for reading the sum of an attempt at a round."""

    @property
    def fewest(self) -> int:
        """Return the fewest sites of a sum."""

    @property
    def binds(self) -> bool:
        """Return whether a site answers all attempts at a round for one list of sites only."""

    def mean(self, total: Words, sites: Sequence[str]) -> tuple[Mean, float, float]:
        """Return the mean (d,), the L2 norm to screen, and the largest norm that honest sites would cause."""

    def result(self, number: int, mean: AdapterState, sites: Sequence[str]) -> Aggregate:
        """Return the change of the adapter and what the optimiser keeps."""


@dataclass(frozen=True)
class GradientSum:
    """Reads a sum under trust ``distributed``, where each site adds its clipped gradients and a share of the noise."""

    config: RunConfig
    plan: PrivacyPlan
    adapter: AdapterState = field(repr=False)
    memory: Memory = field(repr=False)
    binds = False  # the next attempt has another batch and other noise

    @property
    def fewest(self) -> int:
        """The fewest sites of a sum."""
        assert self.plan.shared is not None  # noqa: S101  made only for such a plan
        return self.plan.shared.fewest

    def mean(self, total: Words, sites: Sequence[str]) -> tuple[Mean, float, float]:
        """Return the mean gradient, the norm of the sum, and its bound."""
        shares, divisor = self.plan.shares(self.adapter.parameters, len(sites)), self._divisor(sites)
        mean = shares.mean_gradient(total, divisor)
        return mean, float(np.linalg.norm(mean.astype(np.float64))) * divisor, largest_norm(shares, divisor)

    def result(self, number: int, mean: AdapterState, sites: Sequence[str]) -> Aggregate:
        """Return the server's step with the mean gradient."""
        shares = self.plan.shares(self.adapter.parameters, len(sites))
        noise = shares.grid * shares.total_std / self._divisor(sites)
        return gradient_step(self.config, number, self.adapter, mean, noise, self.memory)

    def _divisor(self, sites: Sequence[str]) -> float:
        """Return the public number of units that a step is expected to draw at these sites."""
        sizes = {site.id: site.declared_size for site in self.config.data.sites}
        return self.config.training.sampling_rate * sum(sizes[site] for site in sites)


@dataclass(frozen=True)
class DeltaMean:
    """Reads a sum under trust ``local``: the weighted mean of deltas that have all their noise already."""

    config: RunConfig
    adapter: AdapterState = field(repr=False)
    memory: Memory = field(repr=False)
    binds = True  # a site masks the same delta again, and two different sums would show it

    @property
    def fewest(self) -> int:
        """The fewest sites of a sum."""
        return self._grid.fewest

    def mean(self, total: Words, sites: Sequence[str]) -> tuple[Mean, float, float]:
        """Return the mean delta, its norm, and its bound."""
        mean = self._grid.mean(total, sites)
        norm = float(np.linalg.norm(mean.astype(np.float64)))
        return mean, norm, self._grid.longest(sites, self.adapter.parameters)

    def result(self, number: int, mean: AdapterState, sites: Sequence[str]) -> Aggregate:
        """Return the step of the run's optimiser with the mean delta, as if one site had sent it."""
        method = begin(Setting(self.adapter, {"sum": 1.0}, self.config.aggregation, None, self.memory))
        method.fold(mean, 1.0)
        return method.result()

    @property
    def _grid(self) -> DeltaGrid:
        return DeltaGrid.of(self.config)


def reading_of(config: RunConfig, plan: PrivacyPlan | None, adapter: AdapterState, memory: Memory) -> SumReading:
    """Return how to read the sums of a run.

    Parameters
    ----------
    config
        A run that adds up under masks.
    plan
        The plan of all sites, where they share one noise; else None.
    adapter
        The adapter that the attempt starts from.
    memory
        What the server's optimiser kept at the end of the last committed round.
    """
    return GradientSum(config, plan, adapter, memory) if plan is not None else DeltaMean(config, adapter, memory)


def largest_norm(shares: NoiseShares, divisor: float) -> float:
    """Return the largest L2 norm of a sum that honest sites would send: C (B + 8 sqrt(B)), and 1.1 times the noise's norm.

    Parameters
    ----------
    shares
        The noise of the attempt.
    divisor
        B, the public expected number of units in the step over the sites of the sum.
    """
    noise = shares.grid * shares.total_std * math.sqrt(shares.dimension)
    return shares.bound * (divisor + REACH * math.sqrt(divisor)) + MARGIN * noise
