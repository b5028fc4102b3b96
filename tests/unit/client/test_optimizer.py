import torch

from client.optimizer import read_moments, write_moments


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
