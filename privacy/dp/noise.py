"""Draw rounded Gaussian noise: integers from the operating system's entropy, exact up to a stated error.

No function here takes a seed or a generator, because noise that can be drawn again can be subtracted.

A number K >= 0 is drawn with probability proportional to w(K) = exp(-(K + 1/2)^2 / (2 std^2)), and -K - 1 with the same
probability. w(K) is the Gaussian density in the middle of the cell [K, K + 1). For |K| < 20 std it therefore differs from
the probability of the cell by a factor within 1 +- 17 / std^2: the second derivative of the density is at most (20^2 - 1) /
std^2 times the density, and 1/24 of it enters the integral over the cell. Numbers more than half a standard deviation beyond
that are never drawn (probability 6e-89). `privacy.privacy_loss.SAMPLING_LOSS` charges for both errors.

The probabilities w(K) themselves are exact. K = k 2^m + j, where 10 random bits choose the block k from a table and j is m
random bits. The pair is accepted with the probability that corrects for the table (rejection sampling, as in Karney 2016,
arXiv 1303.6257, and Canonne, Kamath and Steinke 2020, arXiv 2004.00010). A comparison that float64 cannot decide, about one
in 2^37, is decided with 80 decimal digits and 255 random bits. The number of attempts does not depend on the numbers that
are drawn, so the time of a draw reveals nothing about them.
"""

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache

import torch

from privacy.dp.entropy import random_bytes, random_words
from shared.errors import PrivacyError

CHUNK = 1 << 14  # attempts at once on a CPU: the numbers of one chunk stay in its cache
CHUNK_ON_GPU = 1 << 20
REACH = 20  # standard deviations; every number within them can be drawn, and none half a standard deviation beyond
SMALLEST_STD = 2.0**32  # steps of the grid; the bound on the error of a rounded Gaussian needs at least this many
SMALLEST_LATTICE_STD = 2.0**10  # steps of the grid; fewer would make the sum of several discrete Gaussians less exact
LARGEST_STD = 2.0**54  # steps of the grid; the largest draw and the largest sum together fit 63 bits
SEAT_BITS = 10  # random bits that choose a block
SHARE_BITS = 63  # random bits of the share that is compared with a probability; it must be a non-negative int64
DOUBT = 2.0**-38  # larger than the error of a probability in float64
DIGITS = 80  # decimal digits of a comparison that float64 cannot decide
MORE_BITS = 192  # further bits of the share in such a comparison


def rounded_gaussian(count: int, std: float, device: torch.device) -> torch.Tensor:
    """Draw integers with the probabilities of a Gaussian of standard deviation ``std``, rounded down.

    The docstring of this module states the error of the probabilities and its proof.

    Parameters
    ----------
    count
        How many numbers to draw.
    std
        Standard deviation before rounding, in steps of the grid; 2^32 to 2^54.
    device
        Where to draw; a CUDA device computes its own random bits.

    Returns
    -------
    torch.Tensor
        Independent draws, (count,) int64.

    Raises
    ------
    PrivacyError
        ``std`` is out of range.
    """
    if std < SMALLEST_STD:
        raise _out_of_range(std, SMALLEST_STD)
    return lattice_gaussian(count, std, device)


def lattice_gaussian(count: int, std: float, device: torch.device) -> torch.Tensor:
    """Draw integers K such that K + 1/2 is exactly a discrete Gaussian on Z + 1/2.

    P(K) is proportional to exp(-(K + 1/2)^2 / (2 std^2)) for all K up to 20 ``std`` from 0; the K that are more than 20.5
    ``std`` from 0 are never drawn.

    Parameters
    ----------
    count
        How many numbers to draw.
    std
        The parameter of the discrete Gaussian, which is also its standard deviation; 2^10 to 2^54.
    device
        Where to draw; a CUDA device computes its own random bits.

    Returns
    -------
    torch.Tensor
        Independent draws of K, (count,) int64.

    Raises
    ------
    PrivacyError
        ``std`` is out of range.
    """
    proposal = _proposal(std, device)
    drawn = torch.empty(count, dtype=torch.int64, device=device)
    filled, chunk = 0, CHUNK_ON_GPU if device.type == "cuda" else CHUNK
    while filled < count:
        found = proposal.attempts(min(chunk, math.ceil((count - filled) * 1.3) + 16))[: count - filled]
        drawn[filled : filled + len(found)] = found
        filled += len(found)
    return drawn


@dataclass(frozen=True)
class _Proposal:
    """Propose integers from uniform random bits, and accept each with its own probability.

    Block k holds the 2^m numbers from k 2^m on. Each of 2^10 seats belongs to one block: ``blocks`` maps seats to blocks,
    and block k has ``seats[k]`` seats. A number K of block k is accepted with probability w(K) ``scale`` / ``seats[k]``,
    which is at most 1.
    """

    std: float
    block_bits: int  # m
    scale: float
    seats: tuple[int, ...]
    blocks: torch.Tensor  # (2^10,) int64
    logs: torch.Tensor  # (2^10,) float64: log(scale / seats) of the block of a seat

    def attempts(self, count: int) -> torch.Tensor:
        """Make ``count`` attempts and return the accepted numbers, about four of five, int64."""
        words, share = random_words(2 * count, self.blocks.device).view(2, count)
        seat = (words >> self.block_bits).bitwise_and_((1 << SEAT_BITS) - 1)
        magnitude = torch.take(self.blocks, seat).bitwise_left_shift_(self.block_bits)
        magnitude += words & ((1 << self.block_bits) - 1)
        share.bitwise_and_((1 << SHARE_BITS) - 1)
        off_centre = magnitude.double().add_(0.5).div_(self.std)
        chance = torch.take(self.logs, seat).sub_(off_centre.square_().div_(2)).exp_()
        margin = chance.sub_(share.double().mul_(2.0**-SHARE_BITS))
        kept = margin > 0
        if float(margin.abs_().min()) <= DOUBT:
            for index in (margin <= DOUBT).nonzero().flatten().tolist():
                kept[index] = self._keeps(int(magnitude[index]), int(share[index]))
        return magnitude.bitwise_xor_(words >> 63)[kept]  # the top bit selects K or -K - 1

    def _keeps(self, magnitude: int, share: int) -> bool:
        """Decide with 80 digits whether a random share of 63 + 192 bits lies below a number's acceptance probability."""
        more = int.from_bytes(random_bytes(MORE_BITS // 8))
        with localcontext(prec=DIGITS):
            off_centre = (Decimal(magnitude) + Decimal("0.5")) / Decimal(self.std)
            weight = (-off_centre * off_centre / 2).exp()
            chance = weight * Decimal(self.scale) / self.seats[magnitude >> self.block_bits]
            limit: Decimal = chance * 2 ** (SHARE_BITS + MORE_BITS)
            return Decimal((share << MORE_BITS) + more) < limit


@lru_cache(maxsize=16)
def _proposal(std: float, device: torch.device) -> _Proposal:
    """Make the proposal for a standard deviation; the width of a block is between a quarter and a half of it.

    The largest weight in a block is that of its first number, and is less than ``weights[k]``. Every block has at least one
    seat.
    """
    if not SMALLEST_LATTICE_STD <= std <= LARGEST_STD:
        raise _out_of_range(std, SMALLEST_LATTICE_STD)
    bits = math.floor(math.log2(std)) - 1
    weights = [math.exp(-(((index << bits) / std) ** 2) / 2) for index in range(math.ceil(REACH * std / 2**bits))]
    room = (2**SEAT_BITS - len(weights)) / math.fsum(weights)
    seats = [math.ceil(weight * room) for weight in weights]
    scale = room * (1 - DOUBT)  # so that no probability exceeds 1 by rounding
    seats[0] += 2**SEAT_BITS - sum(seats)  # fill the table; extra seats only cost attempts
    blocks = torch.tensor([block for block, owned in enumerate(seats) for _ in range(owned)])
    logs = torch.tensor([math.log(scale / seats[block]) for block in blocks.tolist()], dtype=torch.float64)
    return _Proposal(std, bits, scale, tuple(seats), blocks.to(device), logs.to(device))


def _out_of_range(std: float, smallest: float) -> PrivacyError:
    bits = round(math.log2(smallest))
    return PrivacyError(f"noise of {std:g} steps of the grid: must be from 2^{bits} to 2^54 steps; change the noise or C")
