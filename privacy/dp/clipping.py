"""Ways to bound one record's gradient by the clipping norm C, each an Opacus optimiser with our noise.

Whatever the way, what one record adds to a step's sum has an L2 norm of at most C, so the noise z C and the plan's charge
are the same. Only the adaptive way releases something more, a count, and pays for it with a larger z on the gradient.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from opacus.optimizers import DPOptimizer

from privacy.dp.gradients import Factored, Gradients, weighted_sum
from privacy.dp.gradients import norms as norms_of
from privacy.dp.mechanism import Mechanism
from privacy.dp.plan import COUNT_BOUND, ClippingMode, PrivacyPlan

STABILISER = 0.01  # gamma of automatic clipping, as in the paper
QUANTILE = 0.5  # share of records that adaptive clipping lets pass unclipped
CLIPPING_NORM = "clipping_norm"  # where an optimiser's groups keep the C that adaptive clipping is at
RAMP = 0.2  # width of the edge that a norm counts as below or above C by, in C
SMALLEST_BOUND, LARGEST_BOUND = 1e-6, 1e6  # of C while it moves
PACE = 0.2  # its learning rate; both as in the paper


class FlatClipping(DPOptimizer):  # type: ignore[misc]  # opacus ships no types
    """Scale each record's whole gradient to at most C, by Opacus' rule (Abadi et al. 2016, arXiv 1607.00133).

    Steps, division and bookkeeping are Opacus' own; norms and sums are taken here, since a gradient may be factored.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, plan: PrivacyPlan, slack: float) -> None:
        super().__init__(
            optimizer,
            noise_multiplier=plan.gradient_noise,
            max_grad_norm=plan.clipping_norm,
            expected_batch_size=plan.expected_batch,
            loss_reduction="mean",
        )
        self._sizes = [parameter.numel() for parameter in self.params]
        self._mechanism = plan.mechanism(sum(self._sizes), slack)

    @property
    def mechanism(self) -> Mechanism:
        """The mechanism that the coming step releases its sum through, at the C that holds now."""
        return replace(self._mechanism, bound=self.max_grad_norm)

    def factors(self, norms: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """What each record's gradient of each tensor is scaled by, (tensors, n) or (n,).

        ``norms`` (tensors, n) are the L2 norms of its parts, ``whole`` (n,) that of all of it.
        """
        factors: torch.Tensor = (self.max_grad_norm / (whole + 1e-6)).clamp(max=1.0)
        return factors

    def clip_and_accumulate(self) -> None:
        """Add the records of one micro-batch to the step's sum.

        A record whose norm is no finite number is left out: clipping could not bound it. That is a fixed rule on one
        record, so it costs no privacy. Squares that overflow float32 count as infinite.
        """
        norms = torch.stack([norms_of(gradients) for gradients in self.grad_samples])
        whole = torch.linalg.vector_norm(norms, dim=0)
        factors = self.factors(norms, whole).masked_fill(~whole.isfinite(), 0.0)
        for parameter, factor in zip(self.params, factors.expand_as(norms), strict=True):
            total = weighted_sum(parameter.grad_sample, factor).to(norms.dtype)  # micro-batches are added up in float64
            parameter.summed_grad = total if parameter.summed_grad is None else parameter.summed_grad + total

    def add_noise(self) -> None:
        """Release the clipped gradients' sum, over all tensors at once, into each tensor's ``grad``."""
        released = self.mechanism.noised(torch.cat([parameter.summed_grad.flatten() for parameter in self.params]))
        for parameter, part in zip(self.params, torch.split(released, self._sizes), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)

    def _get_flat_grad_sample(self, p: torch.Tensor) -> Gradients:
        """Opacus' getter knows tensors alone."""
        given = getattr(p, "grad_sample", None)
        return given if isinstance(given, Factored) else super()._get_flat_grad_sample(p)


class AutomaticClipping(FlatClipping):
    """Scale each record's whole gradient g to C g / (|g| + 0.01), small ones up (Bu et al. 2022, arXiv 2206.07136)."""

    def factors(self, norms: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """C / (|g| + 0.01), (n,)."""
        factors: torch.Tensor = self.max_grad_norm / (whole + STABILISER)
        return factors


class PerLayerClipping(FlatClipping):
    """Scale each of K tensors to at most C / sqrt(K), so the whole to at most C (McMahan et al. 2018, arXiv 1710.06963)."""

    def factors(self, norms: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """Each tensor by its own norm, (tensors, n)."""
        share = self.max_grad_norm / math.sqrt(len(norms))
        factors: torch.Tensor = (share / (norms + 1e-6)).clamp(max=1.0)
        return factors


class AdaptiveClipping(FlatClipping):
    """Flat clipping at a C that follows the median norm (Andrew et al. 2021, arXiv 1905.03871).

    Each step also releases how many records had a norm of at most C, as the sum of +1/2 or -1/2 a record with Gaussian
    noise; C moves by a factor exp(-0.2 (share - 1/2)). C is kept with the optimiser's state, so it lives over rounds.

    Between 0.9 C and 1.1 C a record counts in proportion. With a sharp edge, many equal records whose norm is C would all
    cross it when rounding moves their norms, and one record more would move the count by more than the 1/2 it is charged.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, plan: PrivacyPlan, slack: float) -> None:
        super().__init__(optimizer, plan, slack)
        self.max_grad_norm = float(optimizer.param_groups[0].get(CLIPPING_NORM, plan.clipping_norm))
        self.count_noise = plan.count_noise
        self.balance = torch.zeros(())  # records below C less records above, halved

    def factors(self, norms: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """As flat clipping, with a count of the records below C on the way."""
        below = ((self.max_grad_norm - whole) / (RAMP * self.max_grad_norm)).clamp(-COUNT_BOUND, COUNT_BOUND)
        self.balance = self.balance.to(whole.device) + below.nan_to_num(-COUNT_BOUND).sum()  # what is no number is above
        return super().factors(norms, whole)

    def add_noise(self) -> None:
        """Noise the sum at this step's C, then move C for the next."""
        super().add_noise()
        slack = self._mechanism.slack / (RAMP * COUNT_BOUND)  # what rounding of the others' norms moves the count by
        count = Mechanism(COUNT_BOUND, self.count_noise / COUNT_BOUND, 1, slack)
        share = float(count.noised(self.balance.view(1))) / self.expected_batch_size + 0.5
        moved = self.max_grad_norm * math.exp(-PACE * (min(max(share, 0.0), 1.0) - QUANTILE))
        self.max_grad_norm = min(max(moved, SMALLEST_BOUND), LARGEST_BOUND)
        self.balance = torch.zeros(())
        for group in self.param_groups:
            group[CLIPPING_NORM] = self.max_grad_norm


CLIPPING: Mapping[ClippingMode, type[FlatClipping]] = {
    "flat": FlatClipping,
    "automatic": AutomaticClipping,
    "per-layer": PerLayerClipping,
    "adaptive": AdaptiveClipping,
}


def clipping_optimizer(optimizer: torch.optim.Optimizer, plan: PrivacyPlan, slack: float) -> Any:
    """Return the optimiser that clips as the plan says, around the one that steps; its noise covers ``slack`` too."""
    return CLIPPING[plan.clipping](optimizer, plan, slack)
