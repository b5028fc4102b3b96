"""Derive named streams of reproducible random numbers from the run's seed; privacy noise never uses them."""

import hashlib

import numpy as np
import numpy.typing as npt


def derive(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed for the stream with these names.

    Streams with different names are unrelated.

    Parameters
    ----------
    seed
        Seed of the run.
    names : str or int
        Names of the stream, such as "partition" and a site's name.
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return a numpy generator for the stream with these names."""
    return np.random.default_rng(derive(seed, *names))


def signs(shape: tuple[int, ...], seed: int, *names: str | int) -> npt.NDArray[np.float32]:
    """Return an array of +1 and -1 for the stream with these names, the same on every platform (SHAKE-256)."""
    count = int(np.prod(shape))
    text = "/".join(str(part) for part in (seed, *names))
    raw = hashlib.shake_256(text.encode()).digest((count + 7) // 8)
    bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8))[:count]
    return (bits.astype(np.float32) * 2 - 1).reshape(shape)
