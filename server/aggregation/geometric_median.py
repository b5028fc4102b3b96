"""The geometric median of whole deltas (Pillutla, Kakade and Harchaoui 2022, arXiv 1912.13445)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from server.aggregation.method import Aggregate, Collected
from shared.adapters.state import AdapterState

STEPS = 100  # the largest number of iterations
CLOSE = 1e-7  # a step this small, as a share of the deltas' spread, ends it
SMOOTHING = 1e-6  # smallest divisor, as a share of the spread


class GeometricMedian(Collected):
    """Find the delta whose sum of distances to all deltas is smallest, by Weiszfeld's iteration.

    While fewer than half of the sites are malicious, their deltas can move it only by a multiple of the honest deltas'
    spread, however large they are. Unlike the median of each number, it sees a delta as a whole. All sites count the same,
    because a declared size would let one site outweigh the others.
    """

    def combine(self, deltas: Sequence[AdapterState], weights: Sequence[float]) -> Aggregate:
        """Combine the deltas; the weights are all the same."""
        ordered = sorted(deltas, key=lambda delta: delta.digest())  # so that the order of the replies does not show
        middle = _weiszfeld(np.stack([delta.flattened() for delta in ordered]).astype(np.float64))
        return Aggregate(self.setting.adapter.unflattened(middle.astype(np.float32)))


def _weiszfeld(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the geometric median of rows (n, d), beginning at the median of each number."""
    middle = np.median(rows, axis=0)
    for _ in range(STEPS):
        distances = np.linalg.norm(rows - middle, axis=1)
        spread = float(np.median(distances))
        if not spread:
            return middle  # more than half of the rows are equal
        shares = 1 / np.maximum(distances, SMOOTHING * spread)
        after = shares @ rows / shares.sum()
        moved = float(np.linalg.norm(after - middle))
        middle = after
        if moved <= CLOSE * spread:
            break
    return middle
