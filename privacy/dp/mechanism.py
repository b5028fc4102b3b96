"""Release sums under differential privacy: the one place where noise meets a number."""

import math
from dataclasses import dataclass

import torch

from privacy.dp.noise import lattice_gaussian, rounded_gaussian
from shared.errors import PrivacyError

GRID_BITS = 40  # the grid is finer than the bound by this many bits
MOST_NUMBERS = 1 << 26  # of one release; the charge for the noise's inexactness is for so many
LARGEST_SUM = 2.0**61  # steps of the grid; with the noise it still fits 63 bits
CHUNK = 1 << 16  # numbers of a sum that are noised at once on a CPU
CHUNK_ON_GPU = 1 << 20
MOST_SHARES = 1 << 20  # units whose shares, of at most 2^41 steps each, add up to no more than LARGEST_SUM


@dataclass(frozen=True)
class Mechanism:
    """Add Gaussian noise to a sum over privacy units, on a public grid.

    Let S be the sum on multiples of the grid g, and N Gaussian noise of standard deviation ``std``. The release is
    S + g floor(N / g), an integer times g, computed in integers. Because S lies on the grid, this is g floor((S + N) / g):
    a function of S + N alone, so no low bit of the release holds more than the real Gaussian mechanism gives away
    (Mironov 2012, doi 10.1145/2382196.2382264, shows what low bits give away otherwise).

    Formal guarantee: the Gaussian mechanism at ``noise_multiplier``, for adding or removing one unit whose share of the sum
    has an L2 norm of at most ``bound`` and moves the rest of the sum by at most ``slack`` times ``bound``. Rounding to the
    grid moves a sum by at most g sqrt(dimension) more between neighbours, so the noise is ``noise_multiplier`` times
    ``sensitivity`` = bound (1 + slack) + g sqrt(dimension). `privacy.accounting` charges what the drawn noise differs from
    a real Gaussian (see `privacy.dp.noise.rounded_gaussian`).

    Parameters
    ----------
    bound
        L2 bound of one unit's share of the sum.
    noise_multiplier
        Standard deviation of the noise, in units of the sensitivity.
    dimension
        Numbers in one release, at most 2^26.
    slack
        What finite precision can move the rest of the sum by when one unit joins, as a share of ``bound``.

    Raises
    ------
    PrivacyError
        A number is out of range, so nothing can be promised.
    """

    bound: float
    noise_multiplier: float
    dimension: int
    slack: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.bound < math.inf:
            raise PrivacyError(f"bound of one unit's share {self.bound:g}: must be above 0 and finite")
        if not 0 < self.noise_multiplier < math.inf:
            raise PrivacyError(f"noise multiplier {self.noise_multiplier:g}: must be above 0; no noise has no epsilon")
        if not 0 <= self.slack < math.inf:
            raise PrivacyError(f"slack {self.slack:g}: must be 0 or more of the bound, and finite")
        if not 1 <= self.dimension <= MOST_NUMBERS:
            raise PrivacyError(
                f"a release of {self.dimension:,} numbers: the accounting of the noise covers 1 to {MOST_NUMBERS:,}; train "
                "fewer (adapter.rank, adapter.last_layers)"
            )

    @property
    def grid(self) -> float:
        """The step of the grid: the largest power of two that is at most 2^-40 of the bound."""
        return grid_of(self.bound)

    @property
    def sensitivity(self) -> float:
        """How far one unit can move the rounded sum, in L2 norm."""
        return self.bound * (1 + self.slack) + self.grid * math.sqrt(self.dimension)

    @property
    def std(self) -> float:
        """Standard deviation of the noise."""
        return self.noise_multiplier * self.sensitivity

    def on_grid(self, values: torch.Tensor) -> torch.Tensor:
        """Round numbers to the nearest multiples of the grid.

        Returns
        -------
        torch.Tensor
            How many steps of the grid each number is, int64, of the same shape.

        Raises
        ------
        PrivacyError
            A number is not finite, or too large for whole numbers of 64 bits.
        """
        steps = values.double().div(self.grid).round_()
        _refuse_overflow(steps)
        return steps.long()

    def summed(self, shares: torch.Tensor) -> torch.Tensor:
        """Round each unit's share to the grid and add them up, exactly and so in any order.

        Parameters
        ----------
        shares
            One row a unit, (n, k), each of an L2 norm of at most ``bound``.

        Returns
        -------
        torch.Tensor
            The sum in steps of the grid, (k,) int64.

        Raises
        ------
        PrivacyError
            There are more than 2^20 units, whose sum 64 bits might not hold.
        """
        if len(shares) > MOST_SHARES:
            raise PrivacyError(
                f"a sum over more than {MOST_SHARES:,} units: it may not fit 64 bits; set privacy.release = 'none' and "
                "balance.weights = 'none' or 'public'"
            )
        return self.on_grid(shares).sum(dim=0)

    def release(self, steps: torch.Tensor) -> torch.Tensor:
        """Add noise to a sum on the grid.

        Parameters
        ----------
        steps
            The sum in steps of the grid, int64, of any shape.

        Returns
        -------
        torch.Tensor
            The noised sum, float64, of the same shape.
        """
        if steps.numel() > self.dimension:
            raise PrivacyError(
                f"{steps.numel()} numbers in a release of {self.dimension}: its noise is for fewer; report this"
            )
        _refuse_overflow(steps)
        noise = rounded_gaussian(steps.numel(), self.std / self.grid, steps.device)
        return (steps + noise.view_as(steps)).double().mul_(self.grid)

    def noised(self, sums: torch.Tensor) -> torch.Tensor:
        """Round sums to the grid and add noise, piece by piece; the result has the type of ``sums``, (n,)."""
        released = torch.empty_like(sums)
        on_gpu = sums.device.type == "cuda"
        place, chunk = (sums.device, CHUNK_ON_GPU) if on_gpu else (torch.device("cpu"), CHUNK)  # others have no float64
        for given, out in zip(torch.split(sums, chunk), torch.split(released, chunk), strict=True):
            out.copy_(self.release(self.on_grid(given.to(place))))
        return released


def with_lattice_noise(steps: torch.Tensor, std: float) -> torch.Tensor:
    """Add one site's share of the noise of a secure sum: a discrete Gaussian on Z + 1/2, less the half.

    The share alone gives less privacy than the whole sum has; `privacy.secagg.noise_shares` says when the sum is private.

    Parameters
    ----------
    steps
        A rounded sum in steps of its grid, (d,) int64.
    std
        Standard deviation of the share, in steps of the grid.

    Returns
    -------
    torch.Tensor
        The sum with noise, (d,) int64.

    Raises
    ------
    PrivacyError
        ``std`` is out of range, or the sum is too large for 64 bits.
    """
    _refuse_overflow(steps)
    return steps + lattice_gaussian(steps.numel(), std, steps.device).view_as(steps)


def _refuse_overflow(steps: torch.Tensor) -> None:
    """Refuse a sum that is not finite, or too large to be added to noise in 64 bits."""
    if steps.numel() and not float(steps.abs().max()) <= LARGEST_SUM:  # what is not a number is refused as well
        raise PrivacyError("a sum is not finite or beyond 2^61 steps of its grid, so it cannot be noised; report this")


def grid_of(bound: float) -> float:
    """Return the step of the grid for shares of at most ``bound``: a power of two, at most 2^-40 of the bound."""
    return float(2.0 ** (math.floor(math.log2(bound)) - GRID_BITS))
