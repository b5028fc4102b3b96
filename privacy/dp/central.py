"""Release the sum of whole sites' deltas at a server that the sites trust."""

import torch

from privacy.dp.plan import PrivacyPlan
from shared.adapters.state import AdapterState, Spec


class NoisedSum:
    """Clip the deltas of a Poisson sample of sites, sum them and noise the sum (McMahan et al. 2018, arXiv 1710.06963).

    Formal guarantee: what a round publishes is one release of `plan.mechanism`, for adding or removing one whole site,
    provided that every site is in the round with probability q, independently, and that the server keeps the sample and the
    deltas secret. A site that does not answer adds nothing.
    """

    def __init__(self, spec: Spec, plan: PrivacyPlan) -> None:
        self._plan = plan
        self._sum = {name: torch.zeros(shape, dtype=torch.int64) for name, shape in spec}
        self._mechanism = plan.mechanism(sum(array.numel() for array in self._sum.values()))

    def fold(self, delta: AdapterState) -> None:
        """Scale one finite delta down to norm C if its norm is larger, round it to the grid, and add it with weight 1.

        Parameters
        ----------
        delta
            The delta of one site; its arrays have the shapes of the spec.
        """
        scale = min(1.0, self._plan.clipping_norm / max(delta.norm, 1e-12))
        for name, array in delta.arrays.items():
            self._sum[name] += self._mechanism.on_grid(torch.from_numpy(array).double() * scale)

    def result(self) -> AdapterState:
        """Return the noised sum divided by q x sites, in float32; only noise if no site answered.

        Call it once: a second call would release the same sum again, with fresh noise that the plan does not charge.
        """
        released = {name: self._mechanism.release(total) for name, total in self._sum.items()}
        return AdapterState({name: (total / self._plan.expected_batch).float().numpy() for name, total in released.items()})
