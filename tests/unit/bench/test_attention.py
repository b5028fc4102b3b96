import torch

from bench import attention
from bench.attention import WAYS, row_of


def test_all_ways_compute_the_same_attention() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 5, 8, dtype=torch.bfloat16) for _ in range(3))
    first, *others = (way(q, k, v) for way in WAYS.values())
    for other in others:
        torch.testing.assert_close(first, other, rtol=0.02, atol=0.02)


def test_a_row_has_the_time_of_each_way() -> None:
    row = row_of((2, 2, 4, 8), 2)
    assert (row["records"], row["heads"]) == ("2 of 4", "2 of 8")
    assert all(float(row[f"{name}, ms"]) > 0 for name in attention.WAYS)
