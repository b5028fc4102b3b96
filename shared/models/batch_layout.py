"""Where the records of a batch lie in rows of positions: each in a row of its own, or end to end without padding."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from shared.errors import PrivacyError
from shared.models.device import sent

ATTRIBUTE = "layout"  # of a module that is given records end to end


@dataclass(frozen=True)
class Layout:
    """Runs of records of one length, side by side: ``runs`` of (records, positions), n records and T positions in all.

    A run is a view (records, positions, d) of rows (T, d), and nothing in it needs a mask. ``place`` is set where the
    records came out of a padded batch.
    """

    runs: tuple[tuple[int, int], ...]
    place: "Place | None" = None

    @classmethod
    def even(cls, shape: torch.Size) -> "Layout":
        """That of a usual batch, (n, ..., d): one run."""
        return cls(((shape[0], math.prod(shape[1:-1])),))

    @classmethod
    def by_length(cls, lengths: Sequence[int], device: torch.device) -> "Layout":
        """That of the records of a padded batch, by their lengths, laid end to end, the longest first."""
        given = np.asarray(lengths)
        order = np.argsort(-given, kind="stable")
        runs = tuple((len(list(run)), int(length)) for length, run in groupby(given[order]))
        return cls(runs, Place.of(given, order, device))

    @property
    def sizes(self) -> list[int]:
        """Positions of each run."""
        return [records * positions for records, positions in self.runs]

    def cut(self, rows: torch.Tensor) -> list[torch.Tensor]:
        """Rows (T, d) as pieces (records, positions, d); where many small pieces are slow, as one that is padded with 0."""
        if self.place is not None and self.place.in_one_piece:
            return [self.place.unpack(rows)]
        parts = torch.split(rows, self.sizes)
        return [part.view(*run, rows.shape[-1]) for part, run in zip(parts, self.runs, strict=True)]

    def joined(self, pieces: Sequence[torch.Tensor]) -> torch.Tensor:
        """One value a record, (n, ...), in the batch's order, from those of each piece, (records, ...)."""
        values = pieces[0] if len(pieces) == 1 else torch.cat(list(pieces))
        if self.place is None or self.place.in_one_piece or self.place.turn is None:
            return values
        return values[self.place.turn]

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Each record's value (n,) at all its positions, (T,)."""
        if self.place is None:
            return values.repeat_interleave(self.runs[0][1])
        return values[self.place.positions // self.place.width]


@dataclass(frozen=True)
class Place:
    """Where T positions that lie end to end have their places in a padded batch of n records, ``width`` each.

    ``positions`` (T,) are their places in the n x width, ``starts`` (n + 1,) is where each record begins and the last one
    ends, and ``turn`` (n,) is which of the records, as they lie, each of the batch's is (None: the same).
    """

    records: int
    width: int
    positions: torch.Tensor = field(repr=False)
    starts: torch.Tensor = field(repr=False)
    turn: torch.Tensor | None = field(repr=False)

    @classmethod
    def of(cls, lengths: npt.NDArray[np.int64], order: npt.NDArray[np.int64], device: torch.device) -> "Place":
        """That of records of these lengths, laid end to end in that order."""
        width = int(lengths.max())
        positions = np.concatenate([record * width + np.arange(lengths[record]) for record in order])
        starts = np.concatenate([[0], np.cumsum(lengths[order])]).astype(np.int32)
        places, begun, turn = (sent(torch.from_numpy(each), device) for each in (positions, starts, np.argsort(order)))
        return cls(len(lengths), width, places, begun, turn if (np.diff(order) != 1).any() else None)

    @property
    def in_one_piece(self) -> bool:
        """Whether to start many products costs more than to compute the padding: so on all but CPUs."""
        return self.positions.device.type != "cpu"

    def pack(self, padded: torch.Tensor) -> torch.Tensor:
        """Values of a padded batch, (n, width, ...), end to end, (T, ...).

        Raises:
            PrivacyError: it is another batch's.
        """
        if padded.shape[:2] != (self.records, self.width):
            raise PrivacyError(
                "a model was told where the records of another batch lie, so nothing is computed; report this"
            )
        return padded.flatten(0, 1)[self.positions]

    def unpack(self, rows: torch.Tensor) -> torch.Tensor:
        """The same backwards, with 0 at the padding."""
        whole = rows.new_zeros(self.records * self.width, *rows.shape[1:])
        return whole.index_copy(0, self.positions, rows).view(self.records, self.width, *rows.shape[1:])


def layout_of(module: nn.Module, x: torch.Tensor) -> Layout:
    """How records lie in what a module is given: end to end where it was told so, else (n, ..., d)."""
    told: Layout | None = vars(module).get(ATTRIBUTE)
    return told or Layout.even(x.shape)
