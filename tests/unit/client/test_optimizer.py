import math

import pytest
import torch

from client.optimizer import read_moments, refuse_large, write_moments
from shared.errors import RunError


def optimizer(rank: int) -> torch.optim.AdamW:
    torch.manual_seed(rank)
    factors = [torch.nn.Parameter(torch.ones(4, rank)), torch.nn.Parameter(torch.ones(3))]
    made = torch.optim.AdamW([{"params": factors[:1]}, {"params": factors[1:], "lr": 0.1}])
    for factor in factors:
        factor.grad = torch.rand_like(factor)
    made.step()
    return made


def test_moments_go_on_where_the_tensors_are_the_same() -> None:
    kept, fresh = read_moments(optimizer(2)), optimizer(2)
    fresh.param_groups[0]["params"][0].grad.mul_(3)
    fresh.step()
    assert read_moments(fresh).digest() != kept.digest()
    write_moments(fresh, kept)
    assert read_moments(fresh).digest() == kept.digest()


def test_moments_of_another_rank_change_nothing() -> None:
    kept, fresh = read_moments(optimizer(4)), optimizer(2)
    before = read_moments(fresh)
    write_moments(fresh, kept)
    assert read_moments(fresh).digest() == before.digest()


@pytest.mark.parametrize("number", [1.1e6, -math.inf, math.nan])
def test_numbers_that_no_order_may_contain_end_the_training(number: float) -> None:
    fresh = optimizer(2)
    refuse_large(fresh)
    fresh.param_groups[1]["params"][0].data[1] = number
    with pytest.raises(RunError, match=r"a step left NaN or a number beyond 1e\+06 .* set a smaller training.learning_rate"):
        refuse_large(fresh)
