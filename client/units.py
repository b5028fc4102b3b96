"""Training data of a site: rows, the privacy units that own them, and weights that make a unit's gradient a mean."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from shared.models.device import to_device
from shared.tasks.examples import Example
from shared.tasks.micro_batches import Unit

Floats = npt.NDArray[np.float64]


class Viewer(Protocol):
    """Makes views of records for augmentation."""

    def views(self, row: int, occasion: int) -> Sequence[Example]:
        """Return the views of a row on one occasion, the row itself first."""


@dataclass(frozen=True)
class Rows:
    """The rows of one step: examples, and for each unit the indices of its examples."""

    examples: Sequence[Example] = field(repr=False)
    units: Sequence[Unit] = field(repr=False)


@dataclass(frozen=True)
class TrainingSet:
    """Encoded records of a site, one row each, and the units that own them; without ``viewer``, each row is its only view.

    A unit is one record, or all records of one person. A unit is sampled as a whole, and the gradients of its rows and views
    are averaged.
    """

    examples: Sequence[Example] = field(repr=False)
    units: Sequence[Unit] = field(repr=False)
    viewer: Viewer | None = field(repr=False, default=None)

    @classmethod
    def of(cls, examples: Sequence[Example]) -> "TrainingSet":
        """Make each record a unit of its own."""
        return cls(examples, [(row,) for row in range(len(examples))])

    def rows(self, chosen: Sequence[int], occasion: int) -> Rows:
        """Return the rows of a step; views are drawn anew on each occasion.

        Parameters
        ----------
        chosen
            Indices of the sampled units.
        occasion
            Number of the step in the run.
        """
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
        """Return each unit's share of each label.

        Returns
        -------
        array (units, labels)
            Shares; each row adds up to 1.
        """
        shares = np.zeros((len(self.units), labels))
        for number, unit in enumerate(self.units):
            for row in unit:
                shares[number, self._label(row)] += 1 / len(unit)
        return shares

    def means(self, values: Floats) -> Floats:
        """Return the mean over the rows of each unit.

        Parameters
        ----------
        values : array (rows,)
            One value per row.

        Returns
        -------
        array (units,)
            Means.
        """
        return np.array([values[list(unit)].mean() for unit in self.units])

    def label(self, unit: Unit) -> int:
        """Return the most frequent label among the rows of a unit."""
        return int(np.bincount([self._label(row) for row in unit]).argmax())

    def _label(self, row: int) -> int:
        target = self.examples[row].target
        assert isinstance(target, int)  # noqa: S101  the config balances only tasks with one label a record
        return target


def units_of(persons: Sequence[str]) -> list[Unit]:
    """Group rows by person, in the order of the persons' first rows."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, person in enumerate(persons):
        rows[person].append(row)
    return list(rows.values())


def split(rows: Rows, parts: int) -> list[Rows]:
    """Split the rows of a step into parts of about equal tokens; no unit is in two parts, and a part may be empty.

    Returns
    -------
    list[Rows]
        The parts; each has only the examples of its own units.
    """
    longest = sorted(rows.units, key=lambda unit: -sum(len(rows.examples[row]) for row in unit))
    return [_only(rows.examples, longest[part::parts]) for part in range(parts)]


def _only(examples: Sequence[Example], units: Sequence[Unit]) -> Rows:
    """Return these units with only their own examples, renumbered."""
    ends = accumulate(len(unit) for unit in units)
    owned = [range(end - len(unit), end) for unit, end in zip(units, ends, strict=True)]
    return Rows([examples[row] for unit in units for row in unit], owned)


def row_weights(units: Sequence[Unit], targets: torch.Tensor, by_label: torch.Tensor | None) -> torch.Tensor:
    """Return the weight of each row's loss, (B,): 1 / (rows of its unit), times the weight of its label.

    The weights act before clipping, so they do not change how far one unit can move the sum.

    Parameters
    ----------
    units
        Row indices of each unit, in the order of the batch.
    targets : tensor (B,)
        Label of each row.
    by_label : tensor (L,) or None
        Weight of each label.
    """
    shares = to_device(torch.tensor([1 / len(unit) for unit in units for _ in unit]), targets.device)
    return shares if by_label is None else shares * by_label[targets]
