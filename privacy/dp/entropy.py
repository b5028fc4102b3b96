"""Uniform numbers from the operating system's entropy: unpredictable, unseeded, never to be replayed."""

import os

import numpy as np
import numpy.typing as npt


def uniforms(count: int) -> npt.NDArray[np.float64]:
    """``count`` independent uniform numbers in (0, 1), each from 52 random bits; never exactly 0 or 1."""
    bits = np.frombuffer(os.urandom(8 * count), dtype=np.uint64) >> np.uint64(12)
    return (bits.astype(np.float64) + 0.5) * 2.0**-52
