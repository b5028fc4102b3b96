"""Noise that partly cancels over a round's steps: a banded matrix factorisation, for records that come by in turn.

Where every record is in one batch of each pass, and the batches come in a fixed order, a record takes part every
``batches`` steps and no oftener. Nothing is gained by who was drawn, so no amplification is claimed; in exchange a step's
noise may take back a part of the noise of the steps before, and the sum of a round's steps carries less of it.
"""

from collections import deque

import numpy as np
import numpy.typing as npt
import torch

from privacy.dp.noise import gaussian
from privacy.dp.sampling import Sampling
from shared.errors import PrivacyError
from shared.passes import turns

MOST_BANDS = 32  # each band but one keeps a copy of the noise; more lower it by a few percent


def bands_of(sampling: Sampling, rate: float) -> int:
    """Steps over which a round's noise is correlated: as many as lie between two of one unit's, and no more than 32.

    Raises:
        ConfigError: batches come in turn, and 1 / rate is no whole number of them.
    """
    return 1 if sampling == "poisson" else min(turns(rate), MOST_BANDS)


def coefficients(bands: int) -> npt.NDArray[np.float64]:
    """The first ``bands`` coefficients of 1 / sqrt(1 - x), (bands,): the strategy's diagonal and those below it.

    Whole, it is the best Toeplitz strategy for prefix sums up to a constant (Fichtenberger et al. 2023, arXiv
    2202.11205); cut to a band, it is the banded square root of Kalinin and Lampert 2024 (arXiv 2405.13763).
    """
    ratios = [(2 * lag - 1) / (2 * lag) for lag in range(1, bands)]
    return np.cumprod(np.array([1.0, *ratios]))


class BandedNoise:
    """The rows of inverse(C) Z, one a step, for one round; Z has independent Gaussian rows.

    The strategy C, (steps, steps), is lower triangular and has ``bands`` diagonals: each column is ``coefficients`` from its
    diagonal down, cut at the last step and scaled to norm 1.

    Formal guarantee: let G be the clipped gradient sums of the steps, and let a unit add at most 1 (in units of the
    clipping norm) in L2 norm to each of at most k of them, which lie at least ``bands`` steps apart. Then G + inverse(C) Z
    = inverse(C) (C G + Z) costs what k Gaussian sums at Z's noise multiplier cost. For a unit moves C G by its shares
    times C's columns; these have norm 1 and, that far apart, no row in common, so the squares add up to at most k. As C is
    lower triangular, gradients may depend on all that was released before (Denisov et al. 2022, arXiv 2202.08312, theorem
    2.1; bands and separation: Choquette-Choo et al. 2023, arXiv 2306.08153).

    Another round takes another object, whose Z is new: rounds compose as independent mechanisms. What it keeps would give
    the gradients away, so it never leaves the process, and a round that is cut off starts again with nothing of it.
    """

    def __init__(self, steps: int, bands: int) -> None:
        self._lags = coefficients(bands)[1:]
        self._norms = deque(float(np.linalg.norm(coefficients(bands)[: steps - step])) for step in range(steps))
        self._before: deque[torch.Tensor] = deque(maxlen=bands - 1)  # newest first, before their column's norm

    def __call__(self, shape: torch.Size | tuple[int, ...], std: float, device: torch.device) -> torch.Tensor:
        """The next step's noise, where Z has standard deviation ``std``; the same shape and ``std`` in every step.

        Raises:
            PrivacyError: the round has had all its steps.
        """
        if not self._norms:
            raise PrivacyError("a round took more steps than its plan has, so its noise is not accounted for; report this")
        drawn = gaussian(shape, std, device)
        for lag, earlier in zip(self._lags.tolist(), self._before, strict=False):
            drawn.sub_(earlier, alpha=lag)
        self._before.appendleft(drawn)
        return drawn * self._norms.popleft()
