"""Average the deltas of sites of mixed ranks: each column of B over the sites that have it (raFLoRA, arXiv 2602.13486)."""

import math

import numpy as np
import numpy.typing as npt

from server.aggregation.mean import Mean
from server.aggregation.method import Setting
from shared.adapters.ranks import COLUMNS, rank_of, widened
from shared.adapters.state import AdapterState


class PartitionedMean(Mean):
    """Compute, for each column j of B, the weighted mean over the sites whose rank is larger than j.

    Other tensors, such as a head, are averaged over all sites. A column that no replying site has does not change. As in
    `Mean`, the result does not depend on the order of the deltas.

    With A frozen, the update of a layer is sum_j B[:, j] A[j, :]. So the result is exactly the sum over j of the mean
    update of row j, taken over the sites that train row j. Padding with zeros would instead shrink each column in every
    round, by the weight of the sites that lack it.

    Under ``privacy.trust = "local"`` each site clips and noises its own columns, and this mean is post-processing.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._spec = setting.adapter.spec
        self._owners: list[tuple[int, float]] = []

    def fold(self, delta: AdapterState, weight: float) -> None:
        """Add one finite delta of any rank up to that of the adapter."""
        self._owners.append((rank_of(delta), weight))
        super().fold(widened(delta, self._spec), weight)

    def divisor(self, name: str) -> float | npt.NDArray[np.float64]:
        """Return the total weight of the sites that have each column, or all weights for other tensors."""
        if not COLUMNS.search(name):
            return super().divisor(name)
        columns = dict(self._spec)[name][1]
        totals = [math.fsum(weight for rank, weight in self._owners if rank > column) for column in range(columns)]
        return np.array([total or 1.0 for total in totals])  # the sum of a column that nobody sent is 0
