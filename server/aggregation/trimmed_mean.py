"""The coordinate-wise trimmed mean (Yin et al. 2018, arXiv 1803.01498), which a few arbitrary deltas cannot move far."""

from collections.abc import Sequence

import numpy as np

from server.aggregation.method import Aggregate, Collected
from shared.adapters.state import AdapterState, Array
from shared.errors import RunError


class TrimmedMean(Collected):
    """Drop the ``trim`` largest and the ``trim`` smallest values of each number, and average the rest.

    While at most ``trim`` sites are malicious, each number of the result lies between the smallest and the largest value
    that the honest sites sent. It is not the adapter of a mean of models: trimming the numbers of B is not trimming the
    updates B A. All sites count the same, because a declared size would let one site outweigh the others.
    """

    def combine(self, deltas: Sequence[AdapterState], weights: Sequence[float]) -> Aggregate:
        """Combine the deltas of at least ``2 trim + 1`` sites; the weights are all the same."""
        trim = self.setting.section.trim
        if len(deltas) <= 2 * trim:
            raise RunError(f"aggregation.trim = {trim}: leaves nothing of {len(deltas)} replies; raise cohort.quorum")
        names = self.setting.adapter.arrays
        means = {name: _trimmed([delta.arrays[name] for delta in deltas], trim) for name in names}
        return Aggregate(AdapterState(means))


def _trimmed(values: Sequence[Array], trim: int) -> Array:
    """Average each number over the sites without its extremes; sorting also makes the order of the sites irrelevant."""
    kept = np.sort(np.stack(values), axis=0)[trim : len(values) - trim]  # (sites - 2 trim, *shape)
    mean: Array = kept.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean
