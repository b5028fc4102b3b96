"""Rows of positions and whose they are: what is cut out, joined and spread is each record's own, in the batch's order."""

from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from shared.errors import PrivacyError
from shared.models.batch_layout import Layout, Place, layout_of

CPU = torch.device("cpu")
LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=9)


def padded(lengths: list[int], wide: int = 3) -> torch.Tensor:
    """(n, t, d) with another number at each real position and 0 at the padding."""
    values = torch.arange(1.0, len(lengths) * max(lengths) * wide + 1).view(len(lengths), max(lengths), wide)
    for record, length in enumerate(lengths):
        values[record, length:] = 0
    return values


@given(LENGTHS)
def test_a_batch_comes_back_as_it_was_and_its_row_has_no_padding(lengths: list[int]) -> None:
    place = Layout.by_length(lengths, CPU).place
    assert place is not None
    row = place.pack(padded(lengths))
    assert tuple(row.shape) == (sum(lengths), 3)
    assert bool((row > 0).all())
    assert torch.equal(place.unpack(row), padded(lengths))


@pytest.mark.parametrize("in_one_piece", [False, True], ids=["runs", "one padded piece"])
@given(lengths=LENGTHS)
def test_what_is_cut_and_joined_is_each_records_own_in_the_order_of_the_batch(
    lengths: list[int], in_one_piece: bool
) -> None:
    layout = Layout.by_length(lengths, CPU)
    assert layout.place is not None
    with mock.patch.object(Place, "in_one_piece", in_one_piece):
        pieces = layout.cut(layout.place.pack(padded(lengths)))
        assert len(pieces) == (1 if in_one_piece else len(set(lengths)))  # records of one length are one piece
        assert torch.equal(layout.joined([piece.sum(dim=1) for piece in pieces]), padded(lengths).sum(dim=1))


@given(LENGTHS)
def test_each_records_value_is_spread_over_its_own_positions(lengths: list[int]) -> None:
    layout, numbers = Layout.by_length(lengths, CPU), torch.arange(1.0, len(lengths) + 1)
    assert layout.place is not None
    back = layout.place.unpack(layout.spread(numbers))
    assert torch.equal(back, (padded(lengths)[..., 0] > 0) * numbers[:, None])


@given(st.integers(0, 5), st.integers(1, 6))
def test_a_usual_batch_is_one_run(records: int, positions: int) -> None:
    rows = torch.arange(records * positions * 2.0).view(records, positions, 2)
    layout = Layout.even(rows.shape)
    (piece,) = layout.cut(rows.flatten(0, 1))
    assert torch.equal(layout.joined([piece]), rows)
    assert layout.spread(torch.arange(records)).tolist() == [record for record in range(records) for _ in range(positions)]


def test_records_are_laid_the_longest_first_so_that_equal_ones_are_neighbours() -> None:
    assert Layout.by_length([3, 5, 3, 1, 5], CPU).runs == ((2, 5), (2, 3), (1, 1))


@pytest.mark.parametrize("shape", [(3, 5), (2, 4)], ids=["more records", "shorter ones"])
def test_another_batch_is_not_packed_by_this_ones_places(shape: tuple[int, int]) -> None:
    place = Layout.by_length([5, 2], CPU).place
    assert place is not None
    with pytest.raises(PrivacyError, match="belongs to another batch") as caught:
        place.pack(torch.zeros(shape))
    assert "\n" not in str(caught.value)


def test_a_module_that_was_told_nothing_takes_each_row_for_a_record() -> None:
    assert layout_of(nn.Linear(4, 4), torch.zeros(2, 3, 4)) == Layout(((2, 3),))
