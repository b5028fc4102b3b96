"""Bound one unit's gradient by the clipping norm C in one of four ways, each an Opacus optimiser with our noise.

In every way, one unit adds at most C in L2 norm to a step's sum, so the noise z C and the plan's charge are the same. Only
adaptive clipping releases something more, a count, and pays for it with a larger z on the gradient.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from opacus.optimizers import DPOptimizer

from privacy.dp.gradients import Factored, Gradients, norms_of, weighted_sum
from privacy.dp.mechanism import Mechanism
from privacy.dp.plan import COUNT_BOUND, ClippingMode, PrivacyPlan
from shared.errors import PrivacyError

STABILISER = 0.01  # gamma of automatic clipping, as in the paper
QUANTILE = 0.5  # share of units that adaptive clipping leaves unclipped, as in the paper
CLIPPING_NORM = "clipping_norm"  # key in the optimiser's groups that stores the current C of adaptive clipping
RAMP = 0.2  # width, in C, of the zone around C in which a norm counts partly as below and partly as above
SMALLEST_BOUND, LARGEST_BOUND = 1e-6, 1e6  # range of the C of adaptive clipping
PACE = 0.2  # learning rate of C, as in the paper
# A gradient of this norm adds nothing. Up to it, squares fit float32, so every form of a gradient has the same norm.
LARGEST_NORM = 2.0**50


class FlatClipping(DPOptimizer):  # type: ignore[misc]  # opacus ships no types
    """Scale each unit's whole gradient down to norm C if it is longer (Abadi et al. 2016, arXiv 1607.00133).

    Steps, division and bookkeeping are those of Opacus. Norms and sums are computed here, because a gradient may be
    factored.
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
        self._mechanism = None if plan.shared else plan.mechanism(sum(self._sizes), slack)

    @property
    def mechanism(self) -> Mechanism:
        """Return the mechanism that releases the sum of the coming step, at the current C.

        Raises
        ------
        PrivacyError
            The sites share the noise, so this site releases no sum.
        """
        if self._mechanism is None:
            raise PrivacyError("clipping: under trust 'distributed' no noise is added here; report this as a bug")
        return replace(self._mechanism, bound=self.max_grad_norm)

    def factors(self, norms: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """Return the factor by which each unit's gradient is scaled, (tensors, n) or (n,).

        Parameters
        ----------
        norms : tensor (tensors, n)
            L2 norm of each tensor's part of each gradient.
        whole : tensor (n,)
            L2 norm of each whole gradient.
        """
        factors: torch.Tensor = (self.max_grad_norm / (whole + 1e-6)).clamp(max=1.0)
        return factors

    def clip_and_accumulate(self) -> None:
        """Clip the units of one micro-batch and add them to the step's sum.

        A unit whose norm is not a finite number is left out, because clipping could not bound it. This is a fixed rule on
        one unit, so it costs no privacy. Which norms are finite depends on the form of the gradients, and the form depends
        on the whole batch. So the weight of a unit falls before its norm overflows: from 1 at half of `LARGEST_NORM` to 0 at
        `LARGEST_NORM`.
        """
        norms = torch.stack([norms_of(gradients) for gradients in self.grad_samples])
        whole = torch.linalg.vector_norm(norms, dim=0)
        faded = (2 - whole / (LARGEST_NORM / 2)).clamp(0.0, 1.0)
        factors = (self.factors(norms, whole) * faded).masked_fill(~whole.isfinite(), 0.0)
        for parameter, factor in zip(self.params, factors.expand_as(norms), strict=True):
            total = weighted_sum(parameter.grad_sample, factor).to(norms.dtype)  # float64 sums over micro-batches
            parameter.summed_grad = total if parameter.summed_grad is None else parameter.summed_grad + total

    def summed(self) -> torch.Tensor:
        """Return the clipped sum of the step over all tensors, (d,) float64, without noise."""
        return torch.cat([parameter.summed_grad.flatten() for parameter in self.params])

    def share(self) -> torch.Tensor:
        """Return what this process adds to a step that several compute, (d,) float64: the clipped sum, without noise."""
        return self.summed()

    def join(self, share: torch.Tensor, units: int) -> None:
        """Add the share of another process of this site to the step's sum.

        Parameters
        ----------
        share
            What its ``share`` returned.
        units
            How many privacy units it computed, none of which another process has.

        Raises
        ------
        PrivacyError
            The share is larger than its units can add, so it was not clipped to this step's C.
        """
        if share.numel() != sum(self._sizes) or not float(share.norm()) <= units * self.max_grad_norm * (1 + 1e-6):
            raise PrivacyError(
                "a process of this site returned a larger sum than its records may add, so nothing is released; report this "
                "as a bug"
            )
        for parameter, part in zip(self.params, torch.split(share, self._sizes), strict=True):
            parameter.summed_grad = parameter.summed_grad + part.view_as(parameter).to(parameter.summed_grad)

    def add_noise(self) -> None:
        """Add noise to the clipped sum, over all tensors at once, and write the result into each tensor's ``grad``."""
        released = self.mechanism.noised(self.summed())
        for parameter, part in zip(self.params, torch.split(released, self._sizes), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)

    def _get_flat_grad_sample(self, p: torch.Tensor) -> Gradients:
        """Return the per-record gradients, also factored ones; Opacus' own getter knows only tensors."""
        given = getattr(p, "grad_sample", None)
        return given if isinstance(given, Factored) else super()._get_flat_grad_sample(p)


class AutomaticClipping(FlatClipping):
    """Scale each unit's whole gradient g to C g / (|g| + 0.01), also small ones (Bu et al. 2022, arXiv 2206.07136)."""

    def factors(self, norms: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """Return C / (|g| + 0.01), (n,)."""
        factors: torch.Tensor = self.max_grad_norm / (whole + STABILISER)
        return factors


class PerLayerClipping(FlatClipping):
    """Clip each of K tensors to C / sqrt(K), so that the whole is at most C (McMahan et al. 2018, arXiv 1710.06963)."""

    def factors(self, norms: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """Return the factor of each tensor, from its own norm, (tensors, n)."""
        share = self.max_grad_norm / math.sqrt(len(norms))
        factors: torch.Tensor = (share / (norms + 1e-6)).clamp(max=1.0)
        return factors


class AdaptiveClipping(FlatClipping):
    """Flat clipping with a C that follows the median norm (Andrew et al. 2021, arXiv 1905.03871).

    Each step also releases how many units had a norm of at most C: the sum of +1/2 or -1/2 per unit, with Gaussian noise.
    Then C is multiplied by exp(-0.2 (share - 1/2)). C is stored in the optimiser's state and so lasts over rounds.

    Between 0.9 C and 1.1 C a unit counts in proportion. With a sharp edge, many equal units with norm C would all cross it
    when rounding moves their norms, and one more unit would move the count by more than the 1/2 that is charged.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, plan: PrivacyPlan, slack: float) -> None:
        super().__init__(optimizer, plan, slack)
        self.max_grad_norm = float(optimizer.param_groups[0].get(CLIPPING_NORM, plan.clipping_norm))
        self.count_noise = plan.count_noise
        self.balance = torch.zeros(())  # half of (units below C minus units above C)

    def factors(self, norms: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """Return the factors of flat clipping, and count the units below C."""
        below = ((self.max_grad_norm - whole) / (RAMP * self.max_grad_norm)).clamp(-COUNT_BOUND, COUNT_BOUND)
        self.balance = self.balance.to(whole.device) + below.nan_to_num(-COUNT_BOUND).sum()  # NaN counts as above
        return super().factors(norms, whole)

    def share(self) -> torch.Tensor:
        """Return the clipped sum and, as the last number, the balance of the count, (d + 1,)."""
        return torch.cat([self.summed(), self.balance.view(1).to(self.summed())])

    def join(self, share: torch.Tensor, units: int) -> None:
        """Add the sum and the count of another process."""
        if not float(share[-1].abs()) <= COUNT_BOUND * units * (1 + 1e-6):
            raise PrivacyError("a process of this site counted more records than it was given; report this as a bug")
        super().join(share[:-1], units)
        self.balance = self.balance.to(share.device) + share[-1]

    def add_noise(self) -> None:
        """Add noise to the sum at the current C, then move C for the next step."""
        super().add_noise()
        slack = self.mechanism.slack / (RAMP * COUNT_BOUND)  # how far rounding of the others' norms moves the count
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


def clipping_optimizer(optimizer: torch.optim.Optimizer, plan: PrivacyPlan, slack: float) -> FlatClipping:
    """Return an optimiser that clips and adds noise as the plan says, around the given one.

    Parameters
    ----------
    optimizer
        Optimiser of the trained parameters.
    plan
        Privacy plan of the run.
    slack
        How far rounding moves the sum of the other units when one unit joins, as a share of C; the noise covers it too.
    """
    return CLIPPING[plan.clipping](optimizer, plan, slack)
