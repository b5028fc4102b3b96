import numpy as np
import pytest
from scipy.stats import binom, chisquare

from privacy.dp.entropy import uniforms
from privacy.dp.sampling import poisson_batches

LIKELY = 1e-6


def membership(records: int, rate: float, steps: int) -> np.ndarray:  # type: ignore[type-arg]
    """Who was in which batch, (steps, records)."""
    out = np.zeros((steps, records), dtype=np.int64)
    for row, batch in zip(out, poisson_batches(records, rate, steps, uniforms), strict=True):
        assert len(set(batch.tolist())) == len(batch)  # nobody is drawn twice
        row[batch] = 1
    return out


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
def test_every_record_is_in_a_batch_with_the_public_chance(rate: float) -> None:
    drawn = membership(40, rate, 5000)
    spread = (rate * (1 - rate) / 5000) ** 0.5
    assert abs(drawn.mean(axis=0) - rate).max() < 6 * spread
    assert abs(drawn.mean() - rate) < 6 * spread / 40**0.5


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:  # type: ignore[type-arg]
    return membership(30, 0.2, 20_000)


def test_batch_sizes_are_binomial_not_fixed(drawn: np.ndarray) -> None:  # type: ignore[type-arg]
    sizes = drawn.sum(axis=1)
    assert sizes.var() == pytest.approx(30 * 0.2 * 0.8, rel=0.08)
    edges = range(2, 11)
    observed = [int((sizes < 2).sum()), *[int((sizes == size).sum()) for size in edges], int((sizes > 10).sum())]
    expected = [binom.cdf(1, 30, 0.2), *[binom.pmf(size, 30, 0.2) for size in edges], binom.sf(10, 30, 0.2)]
    assert chisquare(observed, np.array(expected) * 20_000).pvalue > LIKELY


def test_records_and_steps_are_independent(drawn: np.ndarray) -> None:  # type: ignore[type-arg]
    between_records = np.corrcoef(drawn.T)
    assert abs(between_records - np.eye(30)).max() < 6 / 20_000**0.5
    between_steps = np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]
    assert abs(between_steps) < 6 / drawn.size**0.5


def test_an_empty_batch_is_still_a_step() -> None:
    batches = list(poisson_batches(3, 0.05, 400, uniforms))
    assert len(batches) == 400
    empty = sum(len(batch) == 0 for batch in batches)
    assert abs(empty / 400 - 0.95**3) < 6 * (0.857 * 0.143 / 400) ** 0.5


def test_no_records_give_empty_steps_and_a_rate_of_1_gives_all() -> None:
    assert [len(batch) for batch in poisson_batches(0, 0.5, 3, uniforms)] == [0, 0, 0]
    assert [batch.tolist() for batch in poisson_batches(4, 1.0, 2, uniforms)] == [[0, 1, 2, 3]] * 2


def test_the_choice_follows_from_the_draw_alone() -> None:
    draw = iter([np.array([0.1, 0.6, 0.2]), np.array([0.5, 0.49, 0.0])])
    assert [batch.tolist() for batch in poisson_batches(3, 0.5, 2, lambda _: next(draw))] == [[0, 2], [1, 2]]
