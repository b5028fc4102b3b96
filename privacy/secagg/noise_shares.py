"""Split the noise of one DP step among the sites that add up to a secure sum, in whole numbers."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from privacy.dp.mechanism import with_lattice_noise
from privacy.privacy_loss import SAMPLING_LOSS
from shared.errors import PrivacyError

WORD_BITS = 32  # sums are taken modulo 2^32
MOST_GRID_BITS = 20  # a finer grid would only make sums wrap sooner
REACH = 8.0  # standard deviations that a sum may lie from its mean before it wraps; wrapping costs accuracy, not privacy
KERNEL = 4.0  # standard deviation of the rounding kernel in the proof, in steps of the grid; called a below
MOST_LOSS = SAMPLING_LOSS / 2  # epsilon; the accountant already charges SAMPLING_LOSS for each step


@dataclass(frozen=True)
class NoiseShares:
    """Calibrate the noise that each site adds to its own clipped sum before the sums are added up.

    Formal guarantee: let U sites each round their clipped gradient sum to the grid g, add independent draws of the discrete
    Gaussian on Z + 1/2 with standard deviation ``share_std`` to each of d coordinates, and let everybody see only the total.
    If at most ``colluders`` of the sites tell the server their own draws, what all of them see is a release of the Gaussian
    mechanism with the noise multiplier ``noise_multiplier``, for adding or removing one unit at any other site, up to
    ``excess_loss`` of epsilon.

    Proof. One unit moves one site's rounded sum by at most D = `sensitivity` steps in L2 norm. The h = U - colluders other
    sites add h independent discrete Gaussians of variance s^2. (1) Their sum has, pointwise, the probabilities of one
    discrete Gaussian of variance h s^2 within a factor exp(+- tau), tau = 10 sum_{k=1}^{h-1} exp(-2 pi^2 s^2 k / (k + 1))
    (Kairouz, Liu and Steinke 2021, arXiv 2102.06387). The bound comes from Poisson summation, which bounds the sum over
    every coset of Z alike, so it also holds on Z + 1/2. (2) A discrete Gaussian of variance h s^2 around X is, within a
    factor exp(+- 5 exp(-2 pi^2 a^2)), a post-processing of the continuous Gaussian X + N(0, h s^2 - a^2): round its outcome
    Y to a point n of the coset with probability proportional to exp(-(n - Y)^2 / (2 a^2)); by Poisson summation the
    normaliser is the same for all Y within a factor 1 +- 2 exp(-2 pi^2 a^2). Choosing s so that
    sqrt(h s^2 - a^2) = noise_multiplier x D makes the continuous mechanism the one that is accounted for. Both factors hold
    for every X, so they hold under Poisson sampling and adaptive composition.

    Parameters
    ----------
    bound
        Clipping norm C of one unit's gradient.
    noise_multiplier
        Noise multiplier z of the total, in units of the sensitivity.
    dimension
        Numbers in the vector, d.
    expected_batch
        Units that a step is expected to draw from all sites together; public.
    sites
        Sites U that take part in this attempt.
    colluders
        Sites c that may tell the server their noise; fewer than U - 1.
    slack
        How far finite precision can move the other units' gradients when one unit joins, as a share of C.

    Raises
    ------
    PrivacyError
        The numbers give no guarantee, or their sum does not fit 32 bits.
    """

    bound: float
    noise_multiplier: float
    dimension: int
    expected_batch: float
    sites: int
    colluders: int
    slack: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.bound < math.inf or not 0 < self.noise_multiplier < math.inf or not 0 <= self.slack < math.inf:
            raise PrivacyError(
                f"noise shares: clipping norm {self.bound:g}, noise multiplier {self.noise_multiplier:g}, slack "
                f"{self.slack:g}: each must be finite, and the first two above 0"
            )
        if self.colluders < 0 or self.sites - self.colluders < 2:
            raise PrivacyError(
                f"a secure sum of {self.sites} sites of which {self.colluders} may collude: at least 2 others must add "
                "noise; wait for more sites, or lower privacy.colluders"
            )
        if self.grid_bits < 1:
            raise PrivacyError(
                f"a secure sum over {self.expected_batch:g} expected units does not fit {WORD_BITS} bits; lower "
                "training.sampling_rate"
            )
        if self.excess_loss > MOST_LOSS:
            raise PrivacyError(
                f"noise shares of {self.share_std:g} steps of the grid: too coarse for the accounting; raise the noise"
            )

    @property
    def honest(self) -> int:
        """Return the number of sites whose noise the guarantee relies on, h = U - c."""
        return self.sites - self.colluders

    @property
    def grid_bits(self) -> int:
        """Return by how many bits the grid is finer than C; any number of sites then fits 32 bits up to 8 deviations."""
        noise = self.noise_multiplier * math.sqrt((self.colluders + 2) / 2)  # of the fewest sites; more sites add less
        largest = 2 * (self.expected_batch + REACH * math.sqrt(self.expected_batch) + REACH * noise)
        return min(MOST_GRID_BITS, WORD_BITS - 1 - math.ceil(math.log2(largest)))

    @property
    def grid(self) -> float:
        """Return the step g of the grid: C / 2^grid_bits."""
        return self.bound * 2.0**-self.grid_bits

    @property
    def sensitivity(self) -> float:
        """Return how far one unit can move the rounded total, D, in steps of the grid (L2 norm)."""
        return float(2.0**self.grid_bits * (1 + self.slack) + math.sqrt(self.dimension))

    @property
    def share_std(self) -> float:
        """Return the standard deviation s of one site's noise, in steps of the grid."""
        return math.sqrt(((self.noise_multiplier * self.sensitivity) ** 2 + KERNEL**2) / self.honest)

    @property
    def total_std(self) -> float:
        """Return the standard deviation of the noise of the total, in steps of the grid."""
        return self.share_std * math.sqrt(self.sites)

    @property
    def excess_loss(self) -> float:
        """Return the most that the epsilon of a step of this discrete release exceeds that of the continuous mechanism."""
        s2 = self.share_std**2
        tau = 10 * sum(math.exp(-2 * math.pi**2 * s2 * k / (k + 1)) for k in range(1, self.honest))
        return 2 * self.dimension * (tau + 5 * math.exp(-2 * math.pi**2 * KERNEL**2))

    def with_colluders(self, colluders: int) -> float:
        """Return the noise multiplier that is left if this many sites collude, where noise was made for ``colluders``."""
        left = self.sites - colluders
        if left < 1:
            return 0.0
        return math.sqrt(max(left * self.share_std**2 - KERNEL**2, 0.0)) / self.sensitivity

    def on_grid(self, sums: torch.Tensor) -> torch.Tensor:
        """Round a clipped sum to the nearest multiples of the grid.

        Parameters
        ----------
        sums
            The clipped gradient sum, (d,) float32 or float64, without noise.

        Returns
        -------
        torch.Tensor
            Steps of the grid, (d,) int64.

        Raises
        ------
        PrivacyError
            A number is not finite, or there are more or fewer than ``dimension``.
        """
        if sums.numel() != self.dimension or not bool(torch.isfinite(sums).all()):
            raise PrivacyError(
                f"a clipped sum of {sums.numel()} numbers: must be {self.dimension} finite ones; report this as a bug"
            )
        return sums.double().div(self.grid).round_().long().flatten()

    def noised(self, steps: torch.Tensor) -> npt.NDArray[np.uint32]:
        """Add this site's share of the noise to its rounded sum.

        Returns
        -------
        numpy.ndarray
            The noised sum modulo 2^32, (d,) uint32. Mask it before anybody sees it: one share alone protects too little.
        """
        noised: npt.NDArray[np.int64] = with_lattice_noise(steps, self.share_std).cpu().numpy()
        return noised.astype(np.uint32)  # keeps the low 32 bits

    def mean_gradient(self, total: npt.NDArray[np.uint32], divisor: float) -> npt.NDArray[np.float32]:
        """Turn the total of all sites' vectors into the mean gradient.

        Parameters
        ----------
        total
            The sum of the masked vectors modulo 2^32, (d,).
        divisor
            Public expected number of units in the step, q times the declared sizes of the sites in the sum.

        Returns
        -------
        numpy.ndarray
            The noised mean gradient, (d,) float32.
        """
        centred = total.view(np.int32).astype(np.float64) + self.sites / 2  # each draw K stands for K + 1/2
        mean: npt.NDArray[np.float32] = (centred * (self.grid / divisor)).astype(np.float32)
        return mean
