"""Represent encoded records, and join them to padded batches on a device."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from shared.config.adversary import NO_GROUP
from shared.models.device import to_device

NO_CLASS = -100  # target of a token without a class; torch's cross-entropy ignores it


@dataclass(frozen=True)
class Example:
    """One encoded record: token ids (T,) and its target: a class, a response mask (T,), or the class of each token (T,).

    ``group`` is the number of the record's declared group, for an adversary; ``NO_GROUP`` if there is no group or adversary.
    """

    ids: npt.NDArray[np.int64] = field(repr=False)
    target: int | npt.NDArray[np.bool_] | npt.NDArray[np.int64] = field(repr=False)
    group: int = field(repr=False, default=NO_GROUP)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Batch:
    """Padded examples on a device: ids and mask (B, T), groups (B,).

    ``targets`` are classes (B,), a response mask (B, T), or the class of each token (B, T), ``NO_CLASS`` if it has none.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    targets: torch.Tensor
    groups: torch.Tensor | None = None


def collate(examples: Sequence[Example], pad: int, device: torch.device) -> Batch:
    """Return examples as one batch, padded on the right to the longest example.

    Parameters
    ----------
    examples
        One or more encoded records.
    pad
        The id of the padding token.
    device
        Device of the tensors.
    """
    width = max(len(example) for example in examples)
    ids = np.full((len(examples), width), pad, dtype=np.int64)
    mask = np.zeros((len(examples), width), dtype=np.int64)
    for row, example in enumerate(examples):
        ids[row, : len(example)] = example.ids
        mask[row, : len(example)] = 1
    targets = torch.from_numpy(_targets(examples, width))
    groups = torch.tensor([example.group for example in examples])
    return Batch(*(to_device(tensor, device) for tensor in (torch.from_numpy(ids), torch.from_numpy(mask), targets, groups)))


def _targets(examples: Sequence[Example], width: int) -> npt.NDArray[np.int64] | npt.NDArray[np.bool_]:
    """Stack the targets; pad targets of tokens to the width."""
    first = examples[0].target
    if isinstance(first, int):
        return np.array([example.target for example in examples], dtype=np.int64)
    padding: Any = False if first.dtype == np.bool_ else NO_CLASS
    rows: Any = np.full((len(examples), width), padding, dtype=first.dtype)
    for row, example in zip(rows, examples, strict=True):
        row[: len(example)] = example.target
    return rows  # type: ignore[no-any-return]
