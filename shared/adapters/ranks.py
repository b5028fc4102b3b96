"""Cut a LoRA adapter with A frozen to a lower rank, and widen a delta of a lower rank again.

The rows of the frozen A follow from the seed one after another, so the A of rank r is the first r rows of any larger one. A
column of B belongs to one row of A. So an adapter of rank r is the first r columns of B, and both have the same scale
(`RunConfig.at_site`).
"""

import re
from collections.abc import Mapping

import numpy as np

from shared.adapters.state import AdapterState, Spec

COLUMNS = re.compile(r"\.lora_B\.\w+\.weight$")  # (d_out, rank)


def cut(state: AdapterState, rank: int) -> AdapterState:
    """Return the first columns of each B; other tensors, such as a head, stay whole.

    Parameters
    ----------
    state
        An adapter or a delta of some rank.
    rank
        Columns to keep, at most as many as there are.
    """
    return AdapterState(
        {name: array[:, :rank].copy() if COLUMNS.search(name) else array for name, array in state.arrays.items()}
    )


def widened(state: AdapterState, spec: Spec) -> AdapterState:
    """Return a state with zeros in the columns that it lacks.

    Parameters
    ----------
    state
        A delta of some rank.
    spec
        Names and shapes of the same adapter with the largest rank.
    """
    arrays = {}
    for name, shape in spec:
        array = state.arrays[name]
        lacking = shape[1] - array.shape[1] if COLUMNS.search(name) else 0
        arrays[name] = np.pad(array, ((0, 0), (0, lacking))) if lacking else array
    return AdapterState(arrays)


def shapes_at(shapes: Mapping[str, tuple[int, ...]], rank: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the same adapter with another number of columns in each B."""
    return {name: (*shape[:1], rank) if COLUMNS.search(name) else shape for name, shape in shapes.items()}


def is_part(spec: Spec, whole: Spec) -> bool:
    """Return whether a delta has the tensors of an adapter with some of its first columns of B, the same number in each."""
    rank = _columns(spec)
    return 1 <= rank <= _columns(whole) and spec == tuple(shapes_at(dict(whole), rank).items())


def rank_of(state: AdapterState) -> int:
    """Return the number of columns of B; 0 for a state without a B."""
    return _columns(state.spec)


def _columns(spec: Spec) -> int:
    return next((shape[1] for name, shape in spec if COLUMNS.search(name) and len(shape) == 2), 0)
