"""Who is in which batch: by Poisson sampling at a public rate, or in turn. The accountant assumes the one that runs."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from shared.errors import PrivacyError

Sampling = Literal["poisson", "cyclic"]
Draw = Callable[[int], npt.NDArray[np.float64]]
ROUNDING = 2e-3  # relative; lets 0.333 and 0.0667 stand for a third and a fifteenth


def poisson_batches(records: int, rate: float, steps: int, draw: Draw) -> Iterator[npt.NDArray[np.int64]]:
    """Yield ``steps`` batches of record indices; each record is in each batch with chance ``rate``, independently.

    ``draw(n)`` gives n uniform numbers in [0, 1). Under privacy it must be ``entropy.uniforms``: amplification by
    sampling holds only while nobody can tell who was sampled, so the choice may not follow from the run's seed.
    A batch may be empty, and is then still a step.
    """
    for _ in range(steps):
        yield np.flatnonzero(draw(records) < rate)


def cyclic_batches(records: int, batches: int, steps: int, draw: Draw) -> Iterator[npt.NDArray[np.int64]]:
    """Yield ``steps`` batches of record indices: each record has one of ``batches`` places, and the places come in turn.

    So a record is in every ``batches``-th step and in no other. Its place is drawn alone, by ``draw(n)`` as above, so that
    one record more moves no other; batches are therefore not of one size, and may be empty.
    """
    places = np.floor(draw(records) * batches)
    for step in range(steps):
        yield np.flatnonzero(places == step % batches)


def batches_of(sampling: Sampling, records: int, rate: float, steps: int, draw: Draw) -> Iterator[npt.NDArray[np.int64]]:
    """The batches of one round, by the run's way of sampling."""
    if sampling == "poisson":
        return poisson_batches(records, rate, steps, draw)
    return cyclic_batches(records, turns(rate), steps, draw)


def turns(rate: float) -> int:
    """The batches of a pass over all records, of which each holds a share ``rate`` of them.

    Raises:
        PrivacyError: 1 / rate is no whole number.
    """
    whole = round(1 / rate)
    if abs(1 / rate - whole) > ROUNDING * whole:
        raise PrivacyError(
            f"training.sampling_rate = {rate}: with training.sampling = 'cyclic' a pass has 1 / rate batches, a whole "
            f"number; take {1 / whole:.6g} for {whole}"
        )
    return whole


def passes(rate: float, steps: int) -> int:
    """How often each record takes part in ``steps`` cyclic steps.

    Raises:
        PrivacyError: the last pass is cut off, so some records would take part oftener than others.
    """
    batches = turns(rate)
    if steps % batches:
        raise PrivacyError(
            f"training.steps = {steps}: with training.sampling = 'cyclic' a round is a whole number of passes of {batches} "
            f"steps (1 / sampling_rate); take {max(1, round(steps / batches)) * batches}"
        )
    return steps // batches
