"""Draw Poisson batches at a public rate: the sampling that runs is the sampling that the accountant assumes."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Draw = Callable[[int], npt.NDArray[np.float64]]


def poisson_batches(records: int, rate: float, steps: int, draw: Draw) -> Iterator[npt.NDArray[np.int64]]:
    """Yield ``steps`` batches of record indices; each record is in each batch with chance ``rate``, independently.

    ``draw(n)`` gives n uniform numbers in [0, 1). Under privacy it must be ``entropy.uniforms``: amplification by
    sampling holds only while nobody can tell who was sampled, so the choice may not follow from the run's seed.
    A batch may be empty, and is then still a step.
    """
    for _ in range(steps):
        yield np.flatnonzero(draw(records) < rate)
