"""The mean of sites' updates B A where both factors are trained: stacked, then cut back to the rank (arXiv 2409.05976)."""

import math
import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from server.aggregation.method import Aggregate, Collected
from shared.adapters.state import AdapterState, Array

LEFT = re.compile(r"\.lora_B\.(\w+\.weight)$")  # (d_out, rank)
Floats = npt.NDArray[np.float64]


class Stacked(Collected):
    """Compute, for each layer, the adapter of the same rank that is nearest to sum_k p_k B_k A_k in the Frobenius norm.

    Side by side, the factors of all sites are one adapter of rank K r with exactly that sum (FLoRA, Wang et al. 2024, arXiv
    2409.05976). QR of both stacks and an SVD of the small matrix between them give its best part of rank r, which PEFT can
    load and which a next round can start from. The mean of each factor alone would err by the spread of the sites instead.
    Other tensors, such as a head, are averaged.

    The product B A does not determine B and A. Here the rows of A are orthonormal, as they nearly are at the start of a run,
    and rotated as close as possible to the mean of the sites' A. So the moments of the sites' optimisers still fit.
    """

    def combine(self, deltas: Sequence[AdapterState], weights: Sequence[float]) -> Aggregate:
        """Combine the deltas, and measure the part of the wanted updates that the cut to the rank loses."""
        before, total = self.setting.adapter, math.fsum(weights)
        ordered = sorted(zip(deltas, weights, strict=True), key=lambda each: (each[0].digest(), each[1]))
        shares = [weight / total for _, weight in ordered]
        after = [before.add(delta).arrays for delta, _ in ordered]
        found: dict[str, Array] = {}
        cut = whole = 0.0
        for name, partner in _pairs(before):
            factors = [(each[name], each[partner]) for each in after]
            left, right, lost, norm = compacted(factors, shares)
            found[name], found[partner] = left.astype(np.float32), right.astype(np.float32)
            cut, whole = cut + lost**2, whole + norm**2
        for name in before.arrays.keys() - found.keys():
            mean = sum(share * each[name].astype(np.float64) for share, each in zip(shares, after, strict=True))
            found[name] = np.asarray(mean, dtype=np.float32)
        change = AdapterState({name: found[name] for name in before.arrays}).minus(before)
        return Aggregate(change, lost=math.sqrt(cut / whole) if whole else 0.0)


def compacted(factors: Sequence[tuple[Array, Array]], shares: Sequence[float]) -> tuple[Floats, Floats, float, float]:
    """Return B and A of the sites' rank whose product is nearest to sum_k p_k B_k A_k; the lost norm and the whole norm.

    Parameters
    ----------
    factors
        B (d_out, r) and A (r, d_in) of each site.
    shares
        Their shares p_k.
    """
    rank = factors[0][1].shape[0]
    stacked = np.concatenate([share * b.astype(np.float64) for share, (b, _) in zip(shares, factors, strict=True)], axis=1)
    rows = np.concatenate([a.astype(np.float64) for _, a in factors])
    outer, left = np.linalg.qr(stacked)  # (d_out, m), (m, K r)
    inner, right = np.linalg.qr(rows.T)  # (d_in, n), (n, K r)
    u, values, vt = np.linalg.svd(left @ right.T)
    u, kept, vt = u[:, :rank], values[:rank], vt[:rank]
    directions = vt @ inner.T  # (r, d_in), orthonormal rows
    mean = sum(share * a.astype(np.float64) for share, (_, a) in zip(shares, factors, strict=True))
    turn = _nearest_rotation(mean @ directions.T)
    b = (outer @ u[:, : len(kept)] * kept) @ turn[:, : len(kept)].T
    return b, turn @ directions, float(np.linalg.norm(values[rank:])), float(np.linalg.norm(values))


def _nearest_rotation(matrix: Floats) -> Floats:
    """Return the orthogonal matrix nearest to a square one (Schönemann 1966, doi 10.1007/BF02289451)."""
    u, _, vt = np.linalg.svd(matrix)
    rotation: Floats = u @ vt
    return rotation


def _pairs(adapter: AdapterState) -> Iterator[tuple[str, str]]:
    """Yield the names of B and A of each layer."""
    for name in adapter.arrays:
        if LEFT.search(name):
            yield name, LEFT.sub(r".lora_A.\1", name)
