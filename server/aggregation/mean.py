"""The weighted mean of deltas (McMahan et al. 2017, arXiv 1602.05629), folded one at a time."""

import math

import numpy as np
import numpy.typing as npt

from shared.adapters.state import AdapterState, Spec

FOLDS = 16  # log2 of the deltas that may be folded: up to so many the sums are exact
DIGITS = 52  # bits that a float64 holds for sure


class RunningMean:
    """sum(w_k delta_k) / sum(w_k), the same bit for bit in whatever order the deltas come.

    Exact for LoRA with A frozen: mean(B_k) A = mean(B_k A) (FFA-LoRA, Sun et al. 2024, arXiv 2403.12313); for IA3, whose
    layers are linear in what is trained: mean(l_k) * y = mean(l_k * y). A delta is trained minus start, wherever that is.

    Floating-point sums depend on their order, and a real fleet answers in another order each time. So each product is
    cut at two fixed grids of powers of two, and the parts are summed apart: sums of multiples of one power of two are
    exact in float64 as long as they fit its bits, and exact sums have no order (Demmel and Nguyen 2015,
    doi 10.1109/TC.2014.2345391). What lies below the fine grid, ``bound`` x 2^-71, is rounded for each product alone.

    Memory: two float64 arrays a tensor, four times the adapter, for any number of sites. ``bound`` is the largest
    magnitude of a number of w_k delta_k; the weights are public numbers.
    """

    def __init__(self, spec: Spec, bound: float) -> None:
        top = math.frexp(bound)[1] + FOLDS  # log2 of what every sum of products stays below
        self._coarse = 2.0 ** (top - DIGITS)
        self._fine = 2.0 ** (top - 2 * DIGITS + FOLDS)  # each rest is at most half a coarse step
        self._high = {name: np.zeros(shape) for name, shape in spec}
        self._low = {name: np.zeros(shape) for name, shape in spec}
        self._weights: list[float] = []

    def fold(self, delta: AdapterState, weight: float) -> None:
        """Take in one finite delta of the spec, of numbers no larger than ``bound / weight``."""
        self._weights.append(weight)
        for name, array in delta.arrays.items():
            product = array * np.float64(weight)
            high = _on_grid(product, self._coarse)
            self._high[name] += high
            self._low[name] += _on_grid(product - high, self._fine)

    def result(self) -> AdapterState:
        """The mean of what was folded, in float32."""
        total = math.fsum(self._weights)
        return AdapterState(
            {name: ((high + self._low[name]) / total).astype(np.float32) for name, high in self._high.items()}
        )


def _on_grid(numbers: npt.NDArray[np.float64], grid: float) -> npt.NDArray[np.float64]:
    """The nearest multiples of a power of two: scaling by it and rounding are exact."""
    rounded: npt.NDArray[np.float64] = np.rint(numbers / grid) * grid
    return rounded
