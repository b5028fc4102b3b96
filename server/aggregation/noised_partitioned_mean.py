"""Average the deltas of sites of mixed ranks under the noise of a server that the sites trust."""

import numpy as np
import numpy.typing as npt

from server.aggregation.method import Aggregate, Setting
from server.aggregation.noised_mean import NoisedMean
from shared.adapters.ranks import COLUMNS, widened
from shared.adapters.state import AdapterState


class NoisedPartitionedMean(NoisedMean):
    """The clipped and noised sum of a sample of sites, each column divided by the expected number of sites that have it.

    A delta of a lower rank is widened with zeros, which leaves its norm as it is. So one site changes the sum by at most the
    clipping norm, as in `NoisedMean`, and the release has the same guarantee. The divisors follow from the public ranks of
    all sites of the run, and not from the sites that answered, so dividing is post-processing. A column that few sites have
    gets more noise than others: its divisor is smaller.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._spec = setting.adapter.spec
        self._ranks = np.array(list(setting.ranks.values()))

    def fold(self, delta: AdapterState, weight: float) -> None:
        """Clip the delta of one site and add it; its weight is not used."""
        super().fold(widened(delta, self._spec), weight)

    def result(self) -> Aggregate:
        """Return the noised mean. Call once, as for `NoisedMean`."""
        mean = super().result().change.arrays
        return Aggregate(AdapterState({name: array * self._factor(name, array.shape) for name, array in mean.items()}))

    def _factor(self, name: str, shape: tuple[int, ...]) -> np.float32 | npt.NDArray[np.float32]:
        """Return, for each column, the number of all sites divided by that of the sites that have the column; else 1."""
        if not COLUMNS.search(name):
            return np.float32(1)
        return np.array([len(self._ranks) / (self._ranks > column).sum() for column in range(shape[1])], dtype=np.float32)
