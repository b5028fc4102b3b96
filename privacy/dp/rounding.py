"""Bound what finite precision adds to a step's sensitivity: one more record changes the rounding of other gradients."""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

Dtype = Literal["float32", "bfloat16", "nf4"]
EXACT = frozenset({torch.float32, torch.float64})

# Bound on how far one more record moves the clipped sum of the others by rounding, in C per square root of their number.
PER_ROOT: Mapping[Dtype, float] = {"float32": 1e-4, "bfloat16": 1e-2, "nf4": 1e-2}


def rounding_slack(dtype: Dtype, expected_batch: float) -> float:
    """Return the share of C that is added to a step's sensitivity so that it covers rounding.

    One more record changes the padding, the cuts into micro-batches and the order in which kernels add numbers. The
    gradients of the other records do not depend on it in exact arithmetic, but their last bits change. If D' is D with one
    more unit, the clipped sums differ by at most C, the unit's own share, plus the norm of the sum of all these changes. The
    changes are rounding errors without a common direction, so their sum over n records grows like sqrt(n).

    This is measured, not proved: in the worst case the sum would be n times the change of one record. Hence the safety
    margin, and `privacy.dp.selfcheck.refuse_rounding`, which checks the same bound before the first step on the site's own
    records, in the run's dtype and on its device. docs/engine.md has the measured values (``python -m bench.rounding``).

    Parameters
    ----------
    dtype
        Dtype of the frozen base model: ``float32``, ``bfloat16``, or ``nf4``, which computes in bfloat16.
    expected_batch
        Expected number of units in a step, q x declared_size.

    Returns
    -------
    float
        The slack; the sensitivity is C (1 + slack), before rounding to the grid.
    """
    return PER_ROOT[dtype] * math.sqrt(max(1.0, expected_batch))


def base_dtype(model: nn.Module) -> Dtype:
    """Return the dtype in which gradients are computed: float32 if all parameters are float32 or float64, else bfloat16.

    Parameters
    ----------
    model
        Model with an adapter.
    """
    kinds = {parameter.dtype for parameter in model.parameters()}
    return "float32" if kinds <= EXACT else "bfloat16"
