"""Release sums under differential privacy: the only place where noise is added to a number."""

import math
from dataclasses import dataclass

import torch

from privacy.dp.noise import lattice_gaussian, rounded_gaussian
from shared.errors import PrivacyError

GRID_BITS = 40  # the grid is finer than the bound by this many bits
MOST_NUMBERS = 1 << 26  # numbers in one release; the charge for inexact noise assumes at most this many
LARGEST_SUM = 2.0**61  # steps of the grid; with the noise it still fits 63 bits
CHUNK = 1 << 16  # numbers of a sum that get noise at once on a CPU
CHUNK_ON_GPU = 1 << 20
MOST_SHARES = 1 << 20  # units; their shares of at most 2^41 steps each add up to at most LARGEST_SUM


@dataclass(frozen=True)
class Mechanism:
    """Add Gaussian noise to a sum over privacy units, on a public grid.

    Let S be the sum, rounded to multiples of the grid g, and N Gaussian noise with standard deviation ``std``. The release
    is S + g floor(N / g), an integer times g, computed in integers. Because S lies on the grid, it equals
    g floor((S + N) / g), a function of S + N only. Hence no low bit of the release reveals more than the exact Gaussian
    mechanism (Mironov 2012, doi 10.1145/2382196.2382264, shows what low bits reveal otherwise).

    Formal guarantee: the Gaussian mechanism at ``noise_multiplier``, for adding or removing one unit whose share of the sum
    has an L2 norm of at most ``bound`` and which moves the rest of the sum by at most ``slack`` times ``bound``. Rounding to
    the grid moves a sum by at most g sqrt(dimension) more between neighbours, so the standard deviation is
    ``noise_multiplier`` times ``sensitivity`` = bound (1 + slack) + g sqrt(dimension). `privacy.privacy_loss` charges for
    the difference between drawn noise and a true Gaussian (see `privacy.dp.noise.rounded_gaussian`).

    Parameters
    ----------
    bound
        L2 bound of one unit's share of the sum.
    noise_multiplier
        Standard deviation of the noise / sensitivity.
    dimension
        Numbers in one release, at most 2^26.
    slack
        How far rounding errors can move the rest of the sum when one unit joins, as a share of ``bound``.

    Raises
    ------
    PrivacyError
        A number is out of range, so no guarantee holds.
    """

    bound: float
    noise_multiplier: float
    dimension: int
    slack: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.bound < math.inf:
            raise PrivacyError(f"bound of one unit's share {self.bound:g}: must be above 0 and finite")
        if not 0 < self.noise_multiplier < math.inf:
            raise PrivacyError(
                f"noise multiplier {self.noise_multiplier:g}: must be above 0, since without noise there is no epsilon"
            )
        if not 0 <= self.slack < math.inf:
            raise PrivacyError(f"slack {self.slack:g}: must be 0 or more, and finite")
        if not 1 <= self.dimension <= MOST_NUMBERS:
            raise PrivacyError(
                f"a release of {self.dimension:,} numbers: the accounting of the noise covers 1 to {MOST_NUMBERS:,}; train "
                "fewer parameters (adapter.rank, adapter.last_layers)"
            )

    @property
    def grid(self) -> float:
        """Return the step of the grid: a power of two, at most 2^-40 of the bound and more than half of that."""
        return grid_of(self.bound)

    @property
    def sensitivity(self) -> float:
        """Return how far one unit can move the rounded sum, in L2 norm."""
        return self.bound * (1 + self.slack) + self.grid * math.sqrt(self.dimension)

    @property
    def std(self) -> float:
        """Return the standard deviation of the noise."""
        return self.noise_multiplier * self.sensitivity

    def on_grid(self, values: torch.Tensor) -> torch.Tensor:
        """Round numbers to the nearest multiples of the grid.

        Parameters
        ----------
        values
            Numbers of any shape.

        Returns
        -------
        torch.Tensor
            For each number how many steps of the grid it is, int64, of the same shape.

        Raises
        ------
        PrivacyError
            A number is not finite, or beyond 2^61 steps.
        """
        steps = values.double().div(self.grid).round_()
        _refuse_overflow(steps)
        return steps.long()

    def summed(self, shares: torch.Tensor) -> torch.Tensor:
        """Round the share of each unit to the grid and add the shares; integer sums are exact in any order.

        Parameters
        ----------
        shares
            One row per unit, (n, k), each with an L2 norm of at most ``bound``.

        Returns
        -------
        torch.Tensor
            The sum in steps of the grid, (k,) int64.

        Raises
        ------
        PrivacyError
            There are more than 2^20 units, whose sum might not fit 64 bits; or a number is not finite.
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

        Raises
        ------
        PrivacyError
            There are more numbers than ``dimension``, or the sum is beyond 2^61 steps of the grid.
        """
        self._refuse_more_numbers(steps)
        _refuse_overflow(steps)
        noise = rounded_gaussian(steps.numel(), self.std / self.grid, steps.device)
        return (steps + noise.view_as(steps)).double().mul_(self.grid)

    def noised(self, sums: torch.Tensor) -> torch.Tensor:
        """Round sums to the grid and add noise, chunk by chunk to save memory.

        Parameters
        ----------
        sums
            The sums, (n,); n is at most ``dimension``.

        Returns
        -------
        torch.Tensor
            The noised sums, (n,), in the dtype of ``sums``.

        Raises
        ------
        PrivacyError
            There are more numbers than ``dimension``, or a sum is not finite, or beyond 2^61 steps of the grid.
        """
        self._refuse_more_numbers(sums)
        released = torch.empty_like(sums)
        on_gpu = sums.device.type == "cuda"
        # Anything but a CUDA device goes through the CPU, because other accelerators have no float64.
        place, chunk = (sums.device, CHUNK_ON_GPU) if on_gpu else (torch.device("cpu"), CHUNK)
        for given, out in zip(torch.split(sums, chunk), torch.split(released, chunk), strict=True):
            out.copy_(self.release(self.on_grid(given.to(place))))
        return released

    def _refuse_more_numbers(self, numbers: torch.Tensor) -> None:
        if numbers.numel() > self.dimension:
            raise PrivacyError(
                f"{numbers.numel()} numbers in a release of {self.dimension}: its noise covers fewer; report this as a bug"
            )


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
    """Refuse a sum that is not finite or too large to be added to noise in 64 bits."""
    if steps.numel() and not float(steps.abs().max()) <= LARGEST_SUM:  # also refuses NaN
        raise PrivacyError(
            "a sum is not finite or beyond 2^61 steps of its grid, so no noise can be added; report this as a bug"
        )


def grid_of(bound: float) -> float:
    """Return the step of the grid for shares of at most ``bound``: a power of two, at most 2^-40 of the bound.

    Parameters
    ----------
    bound
        L2 bound of one unit's share, above 0.
    """
    return float(2.0 ** (math.floor(math.log2(bound)) - GRID_BITS))
