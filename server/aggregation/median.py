"""The coordinate-wise median (Yin et al. 2018, arXiv 1803.01498)."""

from collections.abc import Sequence

import numpy as np

from server.aggregation.method import Aggregate, Collected
from shared.adapters.state import AdapterState


class Median(Collected):
    """Take the median of each number over the sites.

    While fewer than half of the sites are malicious, each number of the result lies between the smallest and the largest
    value that the honest sites sent. It ignores what a minority of sites learnt, honest minorities included. All sites count
    the same, because a declared size would let one site outweigh the others.
    """

    def combine(self, deltas: Sequence[AdapterState], weights: Sequence[float]) -> Aggregate:
        """Combine the deltas; the weights are all the same."""
        names = self.setting.adapter.arrays
        stacked = {name: np.stack([delta.arrays[name] for delta in deltas]).astype(np.float64) for name in names}
        medians = {name: np.median(values, axis=0).astype(np.float32) for name, values in stacked.items()}
        return Aggregate(AdapterState(medians))
