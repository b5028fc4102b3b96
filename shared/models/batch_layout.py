"""Map the positions of a batch to its records: one padded row per record, or all records end to end without padding."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from shared.errors import PrivacyError
from shared.models.device import to_device

ATTRIBUTE = "layout"  # name under which a module holds its layout while records lie end to end


@dataclass(frozen=True)
class Layout:
    """Groups of records with equal length: ``runs`` holds (records, positions) of each group, T positions in all.

    The rows of a group in a tensor (T, d) can be viewed as (records, positions, d) and need no mask. ``place`` is set only
    if the records were taken out of a padded batch.
    """

    runs: tuple[tuple[int, int], ...]
    place: "Place | None" = None

    @classmethod
    def even(cls, shape: torch.Size) -> "Layout":
        """Describe an ordinary batch of shape (n, ..., d) as one group of n records."""
        return cls(((shape[0], math.prod(shape[1:-1])),))

    @classmethod
    def by_length(cls, lengths: Sequence[int], device: torch.device) -> "Layout":
        """Group the records of a padded batch by length and lay them end to end, the longest first.

        Parameters
        ----------
        lengths
            Tokens of each record, in the order of the batch.
        device
            Where the index tensors of ``place`` are needed.
        """
        given = np.asarray(lengths)
        order = np.argsort(-given, kind="stable")
        runs = tuple((len(list(run)), int(length)) for length, run in groupby(given[order]))
        return cls(runs, Place.of(given, order, device))

    @property
    def sizes(self) -> list[int]:
        """Return the number of positions in each group."""
        return [records * positions for records, positions in self.runs]

    def cut(self, rows: torch.Tensor) -> list[torch.Tensor]:
        """Split rows (T, d) into one tensor (records, positions, d) per group.

        On devices where many small products are slow (all but CPUs), return one tensor padded with 0 instead.
        """
        if self.place is not None and self.place.in_one_piece:
            return [self.place.unpack(rows)]
        parts = torch.split(rows, self.sizes)
        return [part.view(*run, rows.shape[-1]) for part, run in zip(parts, self.runs, strict=True)]

    def joined(self, pieces: Sequence[torch.Tensor]) -> torch.Tensor:
        """Join per-record values of the pieces of ``cut``, (records, ...) each, to one tensor (n, ...) as in the batch."""
        values = pieces[0] if len(pieces) == 1 else torch.cat(list(pieces))
        if self.place is None or self.place.in_one_piece or self.place.turn is None:
            return values
        return values[self.place.turn]

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Repeat the value of each record at all of its positions: from (n,) to (T,)."""
        if self.place is None:
            return values.repeat_interleave(self.runs[0][1])
        return values[self.place.positions // self.place.width]


@dataclass(frozen=True)
class Place:
    """Index tensors that move T positions between end-to-end rows and a padded batch of n records, ``width`` positions each.

    Attributes
    ----------
    records
        n, the number of records.
    width
        Positions of the longest record.
    positions : tensor (T,)
        Index of each position in the padded batch, flattened to n x width.
    starts : tensor (n + 1,)
        First position of each record when they lie end to end; the last entry is T.
    turn : tensor (n,) or None
        For each record of the batch its index in the end-to-end order; None if both orders agree.
    """

    records: int
    width: int
    positions: torch.Tensor = field(repr=False)
    starts: torch.Tensor = field(repr=False)
    turn: torch.Tensor | None = field(repr=False)

    @classmethod
    def of(cls, lengths: npt.NDArray[np.int64], order: npt.NDArray[np.int64], device: torch.device) -> "Place":
        """Compute the index tensors for records laid end to end in a given order.

        Parameters
        ----------
        lengths : array (n,)
            Tokens of each record, in the order of the batch.
        order : array (n,)
            Indices of the records in their end-to-end order.
        device
            Where the tensors are needed.
        """
        width = int(lengths.max())
        positions = np.concatenate([record * width + np.arange(lengths[record]) for record in order])
        starts = np.concatenate([[0], np.cumsum(lengths[order])]).astype(np.int32)
        places, begun, turn = (to_device(torch.from_numpy(each), device) for each in (positions, starts, np.argsort(order)))
        return cls(len(lengths), width, places, begun, turn if (np.diff(order) != 1).any() else None)

    @property
    def in_one_piece(self) -> bool:
        """Tell whether computing the padding is faster than starting many small products: true on all devices but CPUs."""
        return self.positions.device.type != "cpu"

    def pack(self, padded: torch.Tensor) -> torch.Tensor:
        """Take the values of a padded batch, (n, width, ...), without the padding, (T, ...).

        Raises
        ------
        PrivacyError
            The batch has another shape, so it is not the batch that this object describes.
        """
        if padded.shape[:2] != (self.records, self.width):
            raise PrivacyError(
                "the layout of a batch belongs to another batch, so nothing is computed; report this as a bug"
            )
        return padded.flatten(0, 1)[self.positions]

    def unpack(self, rows: torch.Tensor) -> torch.Tensor:
        """Put rows (T, ...) back into a padded batch (n, width, ...), with 0 at the padding."""
        whole = rows.new_zeros(self.records * self.width, *rows.shape[1:])
        return whole.index_copy(0, self.positions, rows).view(self.records, self.width, *rows.shape[1:])


def layout_of(module: nn.Module, x: torch.Tensor) -> Layout:
    """Return how records lie in the input of a module.

    Parameters
    ----------
    module
        A layer; ``packing.packed`` attaches a layout while records lie end to end.
    x : tensor (n, ..., d)
        The input of the layer.

    Returns
    -------
    Layout
        The attached layout, else that of an ordinary batch.
    """
    attached: Layout | None = vars(module).get(ATTRIBUTE)
    return attached or Layout.even(x.shape)
