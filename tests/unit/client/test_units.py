from collections.abc import Sequence

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from client.units import TrainingSet, row_weights, units_of
from shared.tasks.examples import Example

persons = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=20)


class Doubled:
    """Each row and the row again, marked by the occasion."""

    def views(self, row: int, occasion: int) -> Sequence[Example]:
        return [Example(np.array([row, view, occasion]), 0) for view in range(2)]


def examples(count: int) -> list[Example]:
    return [Example(np.array([row]), row % 2) for row in range(count)]


@given(persons)
def test_every_row_belongs_to_one_unit_its_persons(names: list[str]) -> None:
    units = units_of(names)
    assert sorted(row for unit in units for row in unit) == list(range(len(names)))
    assert [{names[row] for row in unit} for unit in units] == [{name} for name in dict.fromkeys(names)]


@given(persons)
def test_a_units_weights_add_up_to_one_whatever_its_rows(names: list[str]) -> None:
    units = units_of(names)
    weights = row_weights(units, torch.zeros(len(names), dtype=torch.int64), None)
    assert torch.isclose(weights.sum(), torch.tensor(float(len(units))))


def test_label_weights_multiply() -> None:
    weights = row_weights([[0, 1], [2]], torch.tensor([0, 1, 1]), torch.tensor([2.0, 8.0]))
    assert weights.tolist() == [1, 4, 8]


def test_a_step_sees_the_views_of_the_sampled_units_alone_and_keeps_them_together() -> None:
    data = TrainingSet(examples(4), [[0, 2], [1], [3]], Doubled())
    rows = data.rows([0, 2], 9)
    assert [example.ids.tolist() for example in rows.examples] == [[r, v, 9] for r in (0, 2, 3) for v in (0, 1)]
    assert [list(unit) for unit in rows.units] == [[0, 1, 2, 3], [4, 5]]


def test_a_units_figures_are_means_of_its_rows() -> None:
    data = TrainingSet(examples(4), [[0, 2, 3], [1]])
    assert data.means(np.array([1.0, 5.0, 2.0, 6.0])).tolist() == [3, 5]
    np.testing.assert_allclose(data.label_shares(2), [[2 / 3, 1 / 3], [0, 1]])
    assert [data.label(unit) for unit in data.units] == [0, 1]
