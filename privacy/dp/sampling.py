"""Who is in which batch: by Poisson sampling at a public rate, or in turn. The accountant assumes the one that runs."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from shared.passes import turns

Sampling = Literal["poisson", "cyclic"]
Draw = Callable[[int], npt.NDArray[np.float64]]


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
