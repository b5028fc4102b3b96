"""The weighted mean of deltas (McMahan et al. 2017, arXiv 1602.05629), folded one at a time."""

import math

import numpy as np
import numpy.typing as npt

from server.aggregation.method import Aggregate, Method, Setting
from shared.adapters.state import AdapterState

FOLDS = 16  # log2 of the number of deltas: sums of up to so many are exact
DIGITS = 52  # bits that every float64 holds


class Mean(Method):
    """Compute sum(w_k delta_k) / sum(w_k), the same bit for bit in whatever order the deltas arrive.

    Exact for LoRA with A frozen: mean(B_k) A = mean(B_k A) (FFA-LoRA, Sun et al. 2024, arXiv 2403.12313); for IA3, whose
    layers are linear in what is trained: mean(l_k) * y = mean(l_k * y).

    A floating-point sum depends on the order of its terms. So each product w_k delta_k is split at two fixed grids of
    powers of two, and each part is summed separately: a sum of multiples of one power of two is exact in float64 as long
    as it fits 53 bits, and an exact sum has no order (Demmel and Nguyen 2015, doi 10.1109/TC.2014.2345391). What lies
    below the fine grid, ``bound`` x 2^-71, is rounded for each product separately. ``bound`` is the largest magnitude
    that a number of w_k delta_k can have: the largest weight times ``aggregation.max_norm``.

    Memory: two float64 arrays for each tensor, four times the adapter, for any number of sites.
    """

    def __init__(self, setting: Setting) -> None:
        bound, spec = setting.section.max_norm * max(setting.weights.values()), setting.adapter.spec
        top = math.frexp(bound)[1] + FOLDS  # log2 of a number that no sum reaches
        self._coarse = 2.0 ** (top - DIGITS)
        self._fine = 2.0 ** (top - 2 * DIGITS + FOLDS)  # each rest is at most half a coarse step
        self._high = {name: np.zeros(shape) for name, shape in spec}
        self._low = {name: np.zeros(shape) for name, shape in spec}
        self._weights: list[float] = []

    def fold(self, delta: AdapterState, weight: float) -> None:
        """Add one finite delta, whose numbers are at most ``bound / weight``."""
        self._weights.append(weight)
        for name, array in delta.arrays.items():
            product = array * np.float64(weight)
            high = _on_grid(product, self._coarse)
            self._high[name] += high
            self._low[name] += _on_grid(product - high, self._fine)

    def result(self) -> Aggregate:
        """Return the mean of all deltas so far, in float32."""
        sums = {name: high + self._low[name] for name, high in self._high.items()}
        return Aggregate(
            AdapterState({name: (total / self.divisor(name)).astype(np.float32) for name, total in sums.items()})
        )

    def divisor(self, name: str) -> float | npt.NDArray[np.float64]:
        """Return what the sum of a tensor is divided by: the total weight of the deltas so far."""
        return math.fsum(self._weights)


def _on_grid(numbers: npt.NDArray[np.float64], grid: float) -> npt.NDArray[np.float64]:
    """Round to the nearest multiples of a power of two; dividing and multiplying by it is exact."""
    rounded: npt.NDArray[np.float64] = np.rint(numbers / grid) * grid
    return rounded
