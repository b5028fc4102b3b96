"""A factored gradient is the written one: same norm, same weighted sum; and the count that chooses is the count."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.dp.gradients import Factored, dense, gradients_of, gram_is_cheaper, norms, weighted_sum

SIDES = st.integers(1, 40)
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])


def factors(records: int, positions: int, a: int, b: int, dtype: torch.dtype, seed: int = 0) -> Factored:
    generator = torch.Generator().manual_seed(seed)
    make = [torch.randn(records, positions, side, generator=generator, dtype=dtype) for side in (a, b)]
    return Factored(*make)


@every_dtype
@given(records=st.integers(0, 5), positions=st.integers(1, 9), a=SIDES, b=SIDES, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_norms_and_weighted_sums_are_those_of_the_written_gradients(
    dtype: torch.dtype, records: int, positions: int, a: int, b: int, seed: int
) -> None:
    given_ = factors(records, positions, a, b, dtype, seed)
    written = torch.einsum("nta,ntb->nab", given_.left.double(), given_.right.double())
    weights = torch.rand(records, dtype=dtype)
    expected = written.flatten(1).norm(dim=1)
    scale = (given_.left.double().flatten(1).norm(dim=1) * given_.right.double().flatten(1).norm(dim=1)).clamp(min=1e-9)
    assert bool(((norms(given_).double() - expected).abs() <= TOLERANCE[dtype] * scale).all())
    total = torch.einsum("i,iab->ab", weights.double(), written)
    for form in (given_, dense(given_)):
        torch.testing.assert_close(weighted_sum(form, weights).double(), total, rtol=0, atol=TOLERANCE[dtype] * 200)


def test_a_norm_is_not_low_where_positions_cancel() -> None:
    # Two positions whose products all but cancel: in float32 the Gram matrices' terms would leave nothing right.
    left = torch.tensor([[[3e3], [3e3]]])
    right = torch.tensor([[[1.0, 1.0], [-1.0, -1.0 + 1e-4]]])
    given_ = Factored(left, right)
    assert float(norms(given_)) == pytest.approx(float(dense(given_).norm()), rel=1e-5)


@given(positions=st.integers(1, 300), a=st.integers(1, 600), b=st.integers(1, 600))
def test_the_form_with_fewer_operations_is_taken(positions: int, a: int, b: int) -> None:
    gram, written = 2 * positions**2 * (a + b), positions * a * b  # a Gram matrix is made in float64, at half speed
    assert gram_is_cheaper(positions, a, b) is (gram < written)


def test_a_pooled_head_stays_factored_and_a_layer_over_text_is_written_out() -> None:
    assert isinstance(gradients_of(torch.zeros(4, 1, 6), torch.zeros(4, 1, 384)), Factored)
    assert isinstance(gradients_of(torch.zeros(4, 20, 384), torch.zeros(4, 20, 64)), Factored)  # high rank, short text
    for rank in (4, 8, 16, 32, 64):  # no rank that is used reaches half a text of usual length
        assert not gram_is_cheaper(64, rank, 576)


@every_dtype
def test_a_weight_of_zero_takes_out_whatever_is_in_a_record(dtype: torch.dtype) -> None:
    given_ = factors(3, 2, 4, 5, dtype)
    given_.left[1, 0, 2] = float("nan")
    given_.right[1, 1, 3] = float("inf")
    weights = torch.tensor([1.0, 0.0, 0.5], dtype=dtype)
    rest = Factored(given_.left[[0, 2]], given_.right[[0, 2]])
    for form in (given_, dense(given_)):
        torch.testing.assert_close(weighted_sum(form, weights), weighted_sum(rest, weights[[0, 2]]))
        assert not bool(norms(form)[1].isfinite())


def test_factors_keep_no_graph_alive_until_the_step_ends() -> None:
    rows = torch.randn(3, 1, 64, requires_grad=True)
    made = gradients_of(torch.randn(3, 1, 64), rows * 2)
    assert isinstance(made, Factored)
    assert not weighted_sum(made, torch.ones(3)).requires_grad
