"""What trains at a site: rows, the privacy units that own them, and the weights that make a unit's gradient a mean."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from shared.models.device import sent
from shared.tasks.base import Example
from shared.tasks.micro_batches import Unit

Floats = npt.NDArray[np.float64]


class Viewer(Protocol):
    """Makes views of records."""

    def views(self, row: int, occasion: int) -> Sequence[Example]:
        """The views of a row on one occasion, the row itself first."""


@dataclass(frozen=True)
class Rows:
    """What one step computes on: examples, and for each unit which of them are its own."""

    examples: Sequence[Example] = field(repr=False)
    units: Sequence[Unit] = field(repr=False)


@dataclass(frozen=True)
class TrainingSet:
    """A site's encoded records, one row each, and the units that own them; without ``viewer`` a row is its only view.

    A unit is one record, or all records of one person. It is sampled whole, and its rows and their views are averaged.
    """

    examples: Sequence[Example] = field(repr=False)
    units: Sequence[Unit] = field(repr=False)
    viewer: Viewer | None = field(repr=False, default=None)

    @classmethod
    def of(cls, examples: Sequence[Example]) -> "TrainingSet":
        """Each record a unit of its own."""
        return cls(examples, [(row,) for row in range(len(examples))])

    def rows(self, chosen: Sequence[int], occasion: int) -> Rows:
        """What a step computes on when it sampled the ``chosen`` units; views are drawn anew on each occasion."""
        units = [self.units[unit] for unit in chosen]
        if self.viewer is None:
            return Rows(self.examples, units)
        views: list[Example] = []
        owned: list[Unit] = []
        for unit in units:
            start = len(views)
            views += [view for row in unit for view in self.viewer.views(row, occasion)]
            owned.append(range(start, len(views)))
        return Rows(views, owned)

    def label_shares(self, labels: int) -> Floats:
        """Each unit's share of each label, (units, labels); rows add up to 1."""
        shares = np.zeros((len(self.units), labels))
        for number, unit in enumerate(self.units):
            for row in unit:
                shares[number, self._label(row)] += 1 / len(unit)
        return shares

    def means(self, values: Floats) -> Floats:
        """Each unit's mean of its rows' values: (rows,) to (units,)."""
        return np.array([values[list(unit)].mean() for unit in self.units])

    def label(self, unit: Unit) -> int:
        """The label that most rows of a unit have."""
        return int(np.bincount([self._label(row) for row in unit]).argmax())

    def _label(self, row: int) -> int:
        target = self.examples[row].target
        assert isinstance(target, int)  # noqa: S101  the config balances only tasks with one label a record
        return target


def units_of(persons: Sequence[str]) -> list[Unit]:
    """The rows of each person, persons in the order of their first rows."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, person in enumerate(persons):
        rows[person].append(row)
    return list(rows.values())


def row_weights(units: Sequence[Unit], targets: torch.Tensor, by_label: torch.Tensor | None) -> torch.Tensor:
    """The weight of each row's loss, (B,): 1 / the rows of its unit, times its label's weight.

    It acts before the clip, so no weight changes what one unit can do.
    """
    shares = sent(torch.tensor([1 / len(unit) for unit in units for _ in unit]), targets.device)
    return shares if by_label is None else shares * by_label[targets]
