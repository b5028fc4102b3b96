"""Draw Poisson batches at a public rate: the sampling that runs is the one that the accountant assumes."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Draw = Callable[[int], npt.NDArray[np.float64]]


def poisson_batches(records: int, rate: float, steps: int, draw: Draw) -> Iterator[npt.NDArray[np.int64]]:
    """Yield batches of record indices; each record is in each batch with probability ``rate``, independently.

    Under privacy, ``draw`` must be ``entropy.uniforms``: sampling amplifies privacy only while nobody can tell which records
    were sampled, so the choice must not follow from the run's seed. An empty batch still counts as a step.

    Parameters
    ----------
    records
        Number of privacy units.
    rate
        Public sampling rate q, above 0 and at most 1.
    steps
        Number of batches T.
    draw
        Function that returns n independent uniform numbers in [0, 1).

    Yields
    ------
    npt.NDArray[np.int64]
        Indices of the sampled units, in ascending order.
    """
    for _ in range(steps):
        yield np.flatnonzero(draw(records) < rate)
