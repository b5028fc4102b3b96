"""Cut a batch into micro-batches of similar length."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Unit = Sequence[int]
# Fixed cost of a micro-batch, in tokens. CPU: about 20 operations per layer take about 30 us each, and MiniLM computes
# at most 3 tokens per ms. A GPU computes more tokens while the operations of one layer are launched (a guess, not measured).
FIXED_COST: Mapping[str, int] = {"cpu": 128, "cuda": 2048, "mps": 1024}


def micro_batches(
    lengths: Sequence[int],
    units: Sequence[Unit],
    max_tokens: int,
    fixed_cost: int = FIXED_COST["cpu"],
    *,
    padded: bool = True,
) -> list[list[Unit]]:
    """Cut a batch into micro-batches of similar length, each of at most ``max_tokens`` tokens, at the least cost.

    A micro-batch costs its tokens, its padding if the model computes it, and ``fixed_cost``. Dynamic programming over the
    units in order of length finds the cuts with the lowest total. Sums over units do not depend on the order.

    Parameters
    ----------
    lengths
        The tokens of each row.
    units
        Rows that stay together, even if one unit has more than ``max_tokens``.
    max_tokens
        The most tokens of a micro-batch.
    fixed_cost
        Further cost of a micro-batch, in tokens.
    padded
        Whether the model computes the padding.
    """
    longest = [max(lengths[row] for row in unit) for unit in units]
    order = sorted(range(len(units)), key=lambda place: -longest[place])
    tokens = [len(units[i]) if padded else sum(lengths[row] for row in units[i]) for i in order]
    widths = [longest[place] if padded else 1 for place in order]
    start = _cuts(tokens, widths, max_tokens, fixed_cost)
    groups, end = [], len(order)
    while end:
        groups.append([units[place] for place in order[start[end] : end]])
        end = int(start[end])
    return groups[::-1]


def _cuts(tokens: Sequence[int], widths: Sequence[int], max_tokens: int, fixed_cost: int) -> npt.NDArray[np.int64]:
    """Return where the last micro-batch of the cheapest cut of the first n units begins, for each n, (N + 1,).

    With padding, ``tokens`` counts a unit's rows and ``widths`` gives the length of each row; without, the width is 1.
    """
    filled = np.cumsum([0, *tokens])
    cost, start = np.full(len(tokens) + 1, np.inf), np.zeros(len(tokens) + 1, dtype=np.int64)
    cost[0] = 0.0
    for first, width in enumerate(widths):  # micro-batches that begin here, by where they end
        last = int(np.searchsorted(filled, filled[first] + max_tokens // width, side="right"))
        ends = np.arange(first + 1, max(last, first + 2))
        total = cost[first] + fixed_cost + (filled[ends] - filled[first]) * width
        better = ends[total < cost[ends]]
        cost[better], start[better] = total[better - first - 1], first
    return start
