"""Round deltas that already have all their noise to a public grid of whole numbers, so that masks can hide each one."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.adapters.state import AdapterState
from shared.config.aggregation import FEWEST_IN_SUM
from shared.config.run import RunConfig
from shared.errors import PrivacyError

SUM_BITS = 30  # bits that a sum may fill; a word has one more and a sign, which leaves room for rounding


@dataclass(frozen=True)
class DeltaGrid:
    """The rule by which sites under trust ``local`` turn their deltas into words of 32 bits that can be added up.

    A site's delta has all the noise that its records need before it comes here. So rounding, the check of its norm and the
    masks are post-processing: they cost no epsilon, and a refusal says nothing that the delta itself would not say. Masks
    hide which delta is from which site; the guarantee of the records does not rest on the masks.

    No sum can wrap. A coordinate of a delta is at most ``bound``, so a sum of weighted deltas is at most ``bound`` times
    the weight of all sites, which is at most 2^30 steps of the grid; rounding adds at most half a step for each site.

    Parameters
    ----------
    weights
        Public weight of each site of the run.
    bound
        Largest L2 norm of a delta (``aggregation.max_norm``).
    fewest
        Fewest sites of a sum.
    """

    weights: Mapping[str, float]
    bound: float
    fewest: int

    @classmethod
    def of(cls, config: RunConfig) -> "DeltaGrid":
        """Return the grid of a run; all sites derive the same one from the config that the server sent them."""
        return cls(config.weights, config.aggregation.max_norm, max(config.cohort.quorum, FEWEST_IN_SUM))

    @property
    def step(self) -> float:
        """Return the step of the grid, a power of two, so that dividing by it is exact."""
        return 2.0 ** (math.frexp(sum(self.weights.values()))[1] + math.frexp(self.bound)[1] - SUM_BITS)

    def refuse_too_long(self, delta: AdapterState) -> None:
        """Refuse a delta that could make the sum wrap; the server sees no single delta, so it cannot check this.

        Whether a delta is refused depends on its noised numbers alone, so the refusal is post-processing too.

        Raises
        ------
        PrivacyError
            The delta is longer than the bound, or not finite.
        """
        if not delta.norm <= self.bound:  # also NaN
            raise PrivacyError(
                f"secure sum: this site's noised delta has norm {delta.norm:.4g} > aggregation.max_norm = {self.bound:g}; "
                "ask the operator to raise it, or to lower the learning rate"
            )

    def words(self, site_id: str, delta: AdapterState) -> npt.NDArray[np.uint32]:
        """Return a site's weighted delta in steps of the grid, modulo 2^32.

        Parameters
        ----------
        site_id
            Name of the site.
        delta
            Its noised delta with d numbers, which has passed `refuse_too_long`.

        Returns
        -------
        numpy.ndarray
            (d,) uint32, in the order of the delta's tensors. Mask it before it leaves.
        """
        scale = self.weights[site_id] / self.step
        steps: npt.NDArray[np.int64] = np.rint(delta.flattened().astype(np.float64) * scale).astype(np.int64)
        return steps.astype(np.uint32)  # keeps the low 32 bits

    def mean(self, total: npt.NDArray[np.uint32], sites: Collection[str]) -> npt.NDArray[np.float32]:
        """Turn the sum of all words of these sites into the weighted mean of their deltas.

        Parameters
        ----------
        total
            The sum modulo 2^32, (d,).
        sites
            The sites of the sum.

        Returns
        -------
        numpy.ndarray
            The mean, (d,) float32. It differs from the exact mean by at most half a step for each site, divided by the
            weight of these sites, and by rounding to float32.
        """
        weight = sum(self.weights[site] for site in sites)
        mean: npt.NDArray[np.float32] = (total.view(np.int32).astype(np.float64) * (self.step / weight)).astype(np.float32)
        return mean

    def longest(self, sites: Collection[str], dimension: int) -> float:
        """Return the largest L2 norm of a mean of these sites, of d numbers: the bound, and what rounding adds."""
        weight = sum(self.weights[site] for site in sites)
        return self.bound + len(sites) * self.step * math.sqrt(dimension) / (2 * weight)
