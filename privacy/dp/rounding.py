"""What finite precision adds to a step's sensitivity: one record more moves the others' gradients by their rounding."""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

Dtype = Literal["float32", "bfloat16", "nf4"]
EXACT = frozenset({torch.float32, torch.float64})

# A bound of what one record more moves the others' clipped sum by, in C, for each root of their number.
PER_ROOT: Mapping[Dtype, float] = {"float32": 1e-4, "bfloat16": 1e-2, "nf4": 1e-2}


def rounding_slack(dtype: Dtype, expected_batch: float) -> float:
    """Return the share of C by which a step's sensitivity is raised, so that it covers rounding.

    With a record more, padding, the cuts of micro-batches and the kernels' ways through a sum change, so the gradients of
    the others, which do not depend on it in exact arithmetic, come out otherwise in their last bits. If D' is D and one
    unit more, the clipped sums differ by at most C, the unit's own share, and by the norm of the sum over the others of what
    each moved by. What one record moves by is rounding, in no direction that others share, so the sum of n of them grows
    like sqrt(n).

    That is measured and not proved: a worst case would be n times what one moves by. Hence the margin, and
    `privacy.dp.selfcheck.refuse_rounding`, which holds a site's own records, in the run's own dtype and on its own device,
    to the same bound before the first step. docs/engine.md has the measured values (``python -m bench.rounding``).

    Parameters
    ----------
    dtype
        What the frozen base is kept in: ``float32``, ``bfloat16`` or ``nf4``, which computes in bfloat16.
    expected_batch
        The expected number of units in a step, q x declared_size.

    Returns
    -------
    float
        The slack: the sensitivity is C (1 + slack).
    """
    return PER_ROOT[dtype] * math.sqrt(max(1.0, expected_batch))


def base_dtype(model: nn.Module) -> Dtype:
    """Return what a model's gradients are computed in: float32 where all its numbers are, and bfloat16 otherwise."""
    kinds = {parameter.dtype for parameter in model.parameters()}
    return "float32" if kinds <= EXACT else "bfloat16"
