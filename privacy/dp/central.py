"""Site-level privacy by a trusted server: each site's delta clipped, the sum noised, divided by a public number."""

import numpy as np
import torch

from privacy.dp.noise import gaussian
from privacy.dp.plan import PrivacyPlan
from shared.adapter import AdapterState, Spec


class NoisedSum:
    """A clipped, noised sum of the deltas of a Poisson sample of sites (McMahan et al. 2018, arXiv 1710.06963).

    Formal guarantee: what a round publishes is one Gaussian sum with L2 sensitivity C = ``plan.clipping_norm`` and noise of
    standard deviation z x C, for adding or removing one whole site, provided that every site is in the round with chance q,
    independently, and that the server keeps the sample and the deltas to itself. A site that does not answer adds nothing.
    """

    def __init__(self, spec: Spec, plan: PrivacyPlan) -> None:
        self._plan = plan
        self._sum = {name: np.zeros(shape) for name, shape in spec}

    def fold(self, delta: AdapterState, weight: float) -> None:
        """Take in one finite delta, scaled down to norm C where it is larger; weights are all 1."""
        scale = weight * min(1.0, self._plan.clipping_norm / max(delta.norm, 1e-12))
        for name, array in delta.arrays.items():
            self._sum[name] += array * np.float64(scale)

    def result(self) -> AdapterState:
        """The noised sum divided by q x sites, in float32; noise alone where nobody answered. Call once."""
        plan = self._plan
        std = plan.noise_multiplier * plan.clipping_norm
        cpu = torch.device("cpu")
        return AdapterState(
            {
                name: ((total + gaussian(total.shape, std, cpu).double().numpy()) / plan.expected_batch).astype(np.float32)
                for name, total in self._sum.items()
            }
        )
