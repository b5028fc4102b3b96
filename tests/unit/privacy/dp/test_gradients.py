"""A factored gradient is the written one: same norm, same weighted sum; and the count that chooses is the count."""

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.dp.gradients import ROUNDING, Factored, dense, gradients_of, gram_is_cheaper, norms_of, weighted_sum
from shared.models.batch_layout import Layout, Place

SIDES = st.integers(1, 40)
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
LENGTHS = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(0, 5)).map(lambda given: [given[0]] * given[1]),  # a usual batch
    st.lists(st.integers(1, 9), min_size=1, max_size=7),  # records end to end
)
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])


def even(records: int, positions: int) -> Layout:
    return Layout.even(torch.Size((records, positions, 1)))


def factors(layout: Layout, a: int, b: int, dtype: torch.dtype, seed: int = 0) -> Factored:
    generator = torch.Generator().manual_seed(seed)
    make = [torch.randn(sum(layout.sizes), side, generator=generator, dtype=dtype) for side in (a, b)]
    return Factored(*make, layout)


def written_out(given_: Factored, lengths: list[int]) -> torch.Tensor:
    """Each record's gradient in float64, (n, a, b), from its own rows alone."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    starts = dict(zip(order, np.cumsum([0, *(lengths[i] for i in order)]), strict=False))
    rows = [slice(starts[i], starts[i] + length) for i, length in enumerate(lengths)]
    whole = [given_.left[part].double().t() @ given_.right[part].double() for part in rows]
    return torch.stack(whole) if whole else torch.zeros(0, given_.left.shape[1], given_.right.shape[1]).double()


@pytest.mark.parametrize("numbers", [1, 511, 512, 513, 1 << 20])
def test_norms_of_a_large_tensor_are_as_right_as_those_of_a_small_one(numbers: int) -> None:
    """One float32 sum in turn is 1e-5 off at a million numbers, and a record would add so much more than the clip allows."""
    gradients = torch.randn(2, numbers, generator=torch.Generator().manual_seed(1)) ** 5
    expected = gradients.double().norm(dim=1)
    assert float(((norms_of(gradients).double() - expected) / expected).abs().max()) <= 2e-7


@every_dtype
@pytest.mark.parametrize("in_one_piece", [False, True], ids=["runs", "one padded piece"])
@given(lengths=LENGTHS, a=SIDES, b=SIDES, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_norms_and_weighted_sums_are_those_of_the_written_gradients_however_the_records_lie(
    dtype: torch.dtype, in_one_piece: bool, lengths: list[int], a: int, b: int, seed: int
) -> None:
    layout = (
        Layout.by_length(lengths, torch.device("cpu"))
        if len(set(lengths)) > 1
        else even(len(lengths), max(lengths, default=3))
    )
    with mock.patch.object(Place, "in_one_piece", in_one_piece):
        given_ = factors(layout, a, b, dtype, seed)
        written = written_out(given_, lengths)
        weights = torch.rand(len(lengths), dtype=dtype)
        expected = written.flatten(1).norm(dim=1)
        scale = (given_.left.double().norm() * given_.right.double().norm()).clamp(min=1e-9)
        assert bool((norms_of(given_).double() - expected >= -TOLERANCE[dtype] * scale).all())  # never low
        assert bool((norms_of(given_).double() <= torch.hypot(expected, ROUNDING * scale) + TOLERANCE[dtype] * scale).all())
        torch.testing.assert_close(dense(given_).double(), written, rtol=0, atol=TOLERANCE[dtype] * 100)
        total = torch.einsum("i,iab->ab", weights.double(), written)
        for form in (given_, dense(given_)):
            torch.testing.assert_close(weighted_sum(form, weights).double(), total, rtol=0, atol=TOLERANCE[dtype] * 200)


def test_a_norm_is_not_low_where_positions_cancel() -> None:
    # Two positions whose products all but cancel: in float32 the Gram matrices' terms would leave nothing right.
    left = torch.tensor([[3e3], [3e3]])
    right = torch.tensor([[1.0, 1.0], [-1.0, -1.0 + 1e-4]])
    given_ = Factored(left, right, even(1, 2))
    true = float(dense(given_).norm())
    assert true <= float(norms_of(given_)) <= true * (1 + 1e-3)


@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=5), a=st.integers(1, 600), b=st.integers(1, 600))
def test_the_form_with_fewer_operations_is_taken(lengths: list[int], a: int, b: int) -> None:
    gram = sum(2 * t**2 * (a + b) for t in lengths)  # a Gram matrix is made in float64, at half speed
    written = sum(t * a * b for t in lengths)
    assert gram_is_cheaper(Layout.by_length(lengths, torch.device("cpu")), a, b) is (gram < written)


def test_a_pooled_head_stays_factored_and_a_layer_over_text_is_written_out() -> None:
    assert isinstance(gradients_of(torch.zeros(4, 6), torch.zeros(4, 384), even(4, 1)), Factored)
    assert isinstance(
        gradients_of(torch.zeros(80, 384), torch.zeros(80, 64), even(4, 20)), Factored
    )  # high rank, short text
    for rank in (4, 8, 16, 32, 64):  # no rank that is used reaches half a text of usual length
        assert not gram_is_cheaper(even(4, 64), rank, 576)


@every_dtype
def test_a_weight_of_zero_takes_out_whatever_is_in_a_record(dtype: torch.dtype) -> None:
    given_ = factors(even(3, 2), 4, 5, dtype)
    given_.left[2, 2] = float("nan")
    given_.right[3, 3] = float("inf")
    weights = torch.tensor([1.0, 0.0, 0.5], dtype=dtype)
    rest = Factored(given_.left[[0, 1, 4, 5]], given_.right[[0, 1, 4, 5]], even(2, 2))
    for form in (given_, dense(given_)):
        torch.testing.assert_close(weighted_sum(form, weights), weighted_sum(rest, weights[[0, 2]]))
        assert not bool(norms_of(form)[1].isfinite())


def test_factors_keep_no_graph_alive_until_the_step_ends() -> None:
    rows = torch.randn(3, 64, requires_grad=True)
    made = gradients_of(torch.randn(3, 64), rows * 2, even(3, 1))
    assert isinstance(made, Factored)
    assert not weighted_sum(made, torch.ones(3)).requires_grad
