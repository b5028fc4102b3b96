"""Measure how much of a planted text a finished adapter gives away: its rank among others, and its completion."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Exposure:
    """Exposure of planted texts in bits: the mean, its standard error, and the largest that was possible."""

    mean: float
    error: float
    largest: float
    texts: int


def exposures(planted: Floats, fills: Floats) -> Floats:
    """Return the exposure of each planted text, log2 |R| less log2 of its rank, in bits (Carlini et al. 2019).

    The measure is that of arXiv 1802.08232. A text that the model treats like any other has a uniform rank, so its mean
    exposure is about 1 / ln 2 = 1.44 bits. Equal losses share their mean rank.

    Parameters
    ----------
    planted : array (n,)
        Loss of each planted text.
    fills : array (n, R - 1)
        Losses of the same text with other fills.
    """
    below, equal = (fills < planted[:, None]).sum(axis=1), (fills == planted[:, None]).sum(axis=1)
    found: Floats = math.log2(fills.shape[1] + 1) - np.log2(1 + below + equal / 2)
    return found


def summary(found: Floats, size: int) -> Exposure:
    """Return the mean exposure with its standard error.

    Parameters
    ----------
    found : array (n,)
        Exposure of each text.
    size
        Number of fills, the planted one among them.
    """
    error = float(found.std(ddof=1) / math.sqrt(len(found))) if len(found) > 1 else math.inf
    return Exposure(float(found.mean()), error, math.log2(size), len(found))


def completed(responses: Sequence[str], secrets: Sequence[str]) -> list[bool]:
    """Return for each response whether it holds its secret, however it is spaced and cased."""
    return [_plain(secret) in _plain(response) for response, secret in zip(responses, secrets, strict=True)]


def _plain(text: str) -> str:
    return "".join(text.casefold().split())
