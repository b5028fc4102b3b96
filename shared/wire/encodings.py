"""Encode the numbers of a message: float32 as they are, or 8 or 4 bits in blocks of 64 numbers that share a scale.

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
STEPS_OF_8_BITS, STEPS_OF_4_BITS = 127, 7  # the largest step
NIBBLES = 4  # steps of 4 bits in an element of 16
MANY = 2**20
SMALLEST_SCALE = np.finfo(np.float32).tiny  # below it, float32 loses bits, so a decoded number would not be encoded the same

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Form:
    """One form of numbers on the wire, an array of one dimension.

    Attributes
    ----------
    dtype
        Type of the array's elements; each form of a message has another.
    length
        Elements of the array for a number of numbers.
    write
        Encodes numbers (n,).
    read
        Decodes an array of exactly ``length(n)`` elements to n numbers, which may be NaN or infinite.
    """

    dtype: str
    length: Callable[[int], int]
    write: Callable[[Floats], Numbers]
    read: Callable[[Numbers, int], Floats]

    @property
    def bytes_a_number(self) -> float:
        """Return the bytes of one of many numbers."""
        return self.length(MANY) * np.dtype(self.dtype).itemsize / MANY


def _blocks(count: int) -> int:
    return -(-count // BLOCK)


def _in_steps(flat: Floats, largest: int) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int8]]:
    """Return for each block the upper 16 bits of its scale, and for each number its step, of -largest to largest.

    A scale is the largest magnitude / largest step, rounded to the upper 16 bits of a float32 (8 significant bits). So a
    step times a scale is exact in float32, the largest magnitude is always the largest step, and encoding a decoded array
    gives the same bytes. A block that holds NaN or infinity gets the scale NaN.
    """
    rows = np.zeros((_blocks(flat.size), BLOCK), dtype=np.float32)
    rows.reshape(-1)[: flat.size] = flat
    peaks = np.abs(rows).max(axis=1, initial=0)
    exact = np.where(np.isfinite(peaks), peaks, np.float32("nan")) / np.float32(largest)
    high = ((exact.view(np.uint32) + np.uint32(0x8000)) >> np.uint32(16)).astype("<u2")
    high[exact < SMALLEST_SCALE] = 0
    scales = _scales(high)
    with np.errstate(invalid="ignore"):
        steps = np.rint(rows / np.where(scales == 0, np.float32("inf"), scales)[:, None])
    steps = np.clip(np.nan_to_num(steps, nan=0.0), -largest, largest).astype(np.int8)
    return high, steps.reshape(-1)[: flat.size]


def _from_steps(high: npt.NDArray[np.uint16], steps: npt.NDArray[np.int8]) -> Floats:
    """Return the numbers, each its step times the scale of its block."""
    scales = np.repeat(_scales(high), BLOCK)[: steps.size]
    with np.errstate(over="ignore", invalid="ignore"):  # the server rejects what is not finite
        decoded: Floats = steps.astype(np.float32) * scales
    return decoded


def _scales(high: npt.NDArray[np.uint16]) -> Floats:
    """Return float32 numbers from their upper 16 bits."""
    return (high.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _written_in_8_bits(flat: Floats) -> Numbers:
    """Return all scales of 2 bytes each, and after them one signed byte for each number."""
    high, steps = _in_steps(flat, STEPS_OF_8_BITS)
    return np.concatenate([high.view(np.uint8), steps.view(np.uint8)])


def _read_from_8_bits(array: Numbers, count: int) -> Floats:
    whole, blocks = np.ascontiguousarray(array), _blocks(count)
    return _from_steps(whole[: 2 * blocks].view("<u2"), whole[2 * blocks :].view(np.int8))


def _written_in_4_bits(flat: Floats) -> Numbers:
    """Return all scales, and after them one element for four numbers, the first number in its lowest bits."""
    high, steps = _in_steps(flat, STEPS_OF_4_BITS)
    bits = np.zeros(NIBBLES * _fours(flat.size), dtype=np.uint16)
    bits[: flat.size] = steps.view(np.uint8) & 0xF
    packed = bits.reshape(-1, NIBBLES) << np.arange(0, 4 * NIBBLES, 4, dtype=np.uint16)
    return np.concatenate([high, np.bitwise_or.reduce(packed, axis=1)])


def _read_from_4_bits(array: Numbers, count: int) -> Floats:
    high, packed = array[: _blocks(count)], array[_blocks(count) :]
    bits = (packed[:, None] >> np.arange(0, 4 * NIBBLES, 4, dtype=np.uint16)).reshape(-1)[:count] & 0xF
    return _from_steps(high, (bits.astype(np.int8) ^ 8) - np.int8(8))  # two's complement of 4 bits


def _fours(count: int) -> int:
    return -(-count // NIBBLES)


FULL = Form("float32", lambda count: count, lambda flat: flat, lambda array, count: array)
BLOCKS = Form("uint8", lambda count: count + 2 * _blocks(count), _written_in_8_bits, _read_from_8_bits)
NIBBLE_BLOCKS = Form("uint16", lambda count: _fours(count) + _blocks(count), _written_in_4_bits, _read_from_4_bits)

ORDERS: Mapping[EncodingName, Form] = {"float32": FULL, "int8": BLOCKS, "int4": BLOCKS}
REPLIES: Mapping[EncodingName, Form] = {"float32": FULL, "int8": BLOCKS, "int4": NIBBLE_BLOCKS}


def as_replied(delta: AdapterState, encoding: EncodingName) -> AdapterState:
    """Return a delta as the server will decode it; sending this delta changes no bit of it."""
    return _through(REPLIES[encoding], delta)


def as_ordered(adapter: AdapterState, encoding: EncodingName) -> AdapterState:
    """Return an adapter as a site decodes it from an order; the server itself keeps the exact adapter."""
    return _through(ORDERS[encoding], adapter)


def _through(form: Form, state: AdapterState) -> AdapterState:
    if form is FULL:
        return state
    sizes = [array.size for array in state.arrays.values()]
    flat = np.concatenate([array.reshape(-1) for array in state.arrays.values()])
    parts = np.split(form.read(form.write(flat), flat.size), np.cumsum(sizes)[:-1])
    named = zip(state.arrays.items(), parts, strict=True)
    return AdapterState({name: part.reshape(array.shape) for (name, array), part in named})
