"""The mean of whole sites' deltas under the noise of a server that the sites trust."""

from privacy.dp.central import NoisedSum
from server.aggregation.method import Aggregate, Method, Setting
from shared.adapters.state import AdapterState
from shared.errors import PrivacyError


class NoisedMean(Method):
    """The clipped and noised sum of a Poisson sample of sites, divided by the public expected number of sites.

    `privacy.dp.central.NoisedSum` states the guarantee. Neither the divisor nor the noise depends on how many sites
    answered. Weights are ignored: the noise is calibrated for clipped deltas that each count once.
    """

    def __init__(self, setting: Setting) -> None:
        if setting.plan is None:
            raise PrivacyError(
                "noised_mean: without a privacy plan, the server adds no noise; set privacy.trust = 'central'"
            )
        self._sum = NoisedSum(setting.adapter.spec, setting.plan)

    def fold(self, delta: AdapterState, weight: float) -> None:
        """Clip the delta of one site and add it; its weight is not used."""
        self._sum.fold(delta)

    def result(self) -> Aggregate:
        """Return the noised mean. Call once: a second call would draw noise again, which the plan does not charge for."""
        return Aggregate(self._sum.result())
