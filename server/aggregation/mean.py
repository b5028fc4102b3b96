"""The weighted mean of deltas (McMahan et al. 2017, arXiv 1602.05629)."""

from collections.abc import Sequence

import numpy as np

from shared.adapter import AdapterState


def mean(deltas: Sequence[AdapterState], weights: Sequence[float]) -> AdapterState:
    """sum(w_k delta_k) / sum(w_k), in float64, back to float32.

    Exact for LoRA with A frozen: mean(B_k) A = mean(B_k A) (FFA-LoRA, Sun et al. 2024, arXiv 2403.12313). The weights
    are public numbers; deltas have one spec.
    """
    shares = np.asarray(weights, dtype=np.float64) / np.sum(weights, dtype=np.float64)
    names = deltas[0].arrays
    return AdapterState(
        {
            name: np.tensordot(shares, np.stack([delta.arrays[name] for delta in deltas]), axes=1).astype(np.float32)
            for name in names
        }
    )
