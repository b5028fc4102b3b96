"""Encode the numbers of a message: float32 as they are, float16, or int8 in blocks of 64 numbers that share a scale.

A delta is encoded after its noise, so the encoding is post-processing and costs no epsilon.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.adapters.state import AdapterState
from shared.config.aggregation import EncodingName

BLOCK = 64  # numbers that share a scale
LARGEST_STEP = 127
SMALLEST_SCALE = np.finfo(np.float32).tiny  # below it, float32 loses bits, so a decoded number would not be encoded the same

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Form:
    """One form of numbers on the wire, an array of one dimension.

    Attributes
    ----------
    dtype : str
        Type of the array's elements; each form of a message has another.
    length : Callable[[int], int]
        Elements of the array for a number of numbers.
    write : Callable[[Floats], Numbers]
        Encodes numbers (n,).
    read : Callable[[Numbers, int], Floats]
        Decodes an array of exactly ``length(n)`` elements to n numbers, which may be NaN or infinite.
    """

    dtype: str
    length: Callable[[int], int]
    write: Callable[[Floats], Numbers]
    read: Callable[[Numbers, int], Floats]


def _written_in_half(flat: Floats) -> Numbers:
    with np.errstate(over="ignore"):  # a number beyond 65504 becomes infinite, and a site refuses such an adapter
        return flat.astype(np.float16)


def _blocks(count: int) -> int:
    return -(-count // BLOCK)


def _written_in_blocks(flat: Floats) -> Numbers:
    """Return for each block a scale of 2 bytes, and after all scales one signed byte for each number.

    A scale is the largest magnitude / 127, rounded to the upper 16 bits of a float32 (8 significant bits). So a step times a
    scale is exact in float32, the largest magnitude is always step 127, and encoding a decoded array gives the same bytes.
    A block that holds NaN or infinity gets the scale NaN.
    """
    rows = np.zeros((_blocks(flat.size), BLOCK), dtype=np.float32)
    rows.reshape(-1)[: flat.size] = flat
    peaks = np.abs(rows).max(axis=1, initial=0)
    exact = np.where(np.isfinite(peaks), peaks, np.float32("nan")) / np.float32(LARGEST_STEP)
    high = ((exact.view(np.uint32) + np.uint32(0x8000)) >> np.uint32(16)).astype("<u2")
    high[exact < SMALLEST_SCALE] = 0
    scales = _scales(high)
    with np.errstate(invalid="ignore"):
        steps = np.rint(rows / np.where(scales == 0, np.float32("inf"), scales)[:, None])
    steps = np.clip(np.nan_to_num(steps, nan=0.0), -LARGEST_STEP, LARGEST_STEP).astype(np.int8)
    return np.concatenate([high.view(np.uint8), steps.reshape(-1)[: flat.size].view(np.uint8)])


def _read_from_blocks(array: Numbers, count: int) -> Floats:
    """Return the numbers, each its step times the scale of its block."""
    whole, blocks = np.ascontiguousarray(array), _blocks(count)
    scales = np.repeat(_scales(whole[: 2 * blocks].view("<u2")), BLOCK)[:count]
    with np.errstate(over="ignore", invalid="ignore"):  # the server rejects what is not finite
        decoded: Floats = whole[2 * blocks :].view(np.int8).astype(np.float32) * scales
    return decoded


def _scales(high: npt.NDArray[np.uint16]) -> Floats:
    """Return float32 numbers from their upper 16 bits."""
    return (high.astype(np.uint32) << np.uint32(16)).view(np.float32)


FULL = Form("float32", lambda count: count, lambda flat: flat, lambda array, count: array)
HALF = Form("float16", lambda count: count, _written_in_half, lambda array, count: array.astype(np.float32))
BLOCKS = Form("uint8", lambda count: count + 2 * _blocks(count), _written_in_blocks, _read_from_blocks)

ORDERS: Mapping[EncodingName, Form] = {"float32": FULL, "int8": HALF}
REPLIES: Mapping[EncodingName, Form] = {"float32": FULL, "int8": BLOCKS}


def as_replied(delta: AdapterState, encoding: EncodingName) -> AdapterState:
    """Return a delta as the server will decode it; sending this delta changes no bit of it.

    Parameters
    ----------
    delta : AdapterState
        The delta of a round, after the noise.
    encoding : EncodingName
        Encoding of the run.
    """
    if encoding == "float32":
        return delta
    form, sizes = REPLIES[encoding], [array.size for array in delta.arrays.values()]
    flat = np.concatenate([array.reshape(-1) for array in delta.arrays.values()])
    parts = np.split(form.read(form.write(flat), flat.size), np.cumsum(sizes)[:-1])
    named = zip(delta.arrays.items(), parts, strict=True)
    return AdapterState({name: part.reshape(array.shape) for (name, array), part in named})
