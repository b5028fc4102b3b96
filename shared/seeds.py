"""Named streams of reproducible randomness, all from the run's one seed; there is none for noise."""

import hashlib

import numpy as np
import numpy.typing as npt


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream called ``names``; streams with different names are unrelated."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator for the stream called ``names``."""
    return np.random.default_rng(derive(seed, *names))


def signs(shape: tuple[int, ...], seed: int, *names: str | int) -> npt.NDArray[np.float32]:
    """An array of +1 and -1 from SHAKE-256, the same bit for bit on every platform and library version."""
    count = int(np.prod(shape))
    text = "/".join(str(part) for part in (seed, *names))
    raw = hashlib.shake_256(text.encode()).digest((count + 7) // 8)
    bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8))[:count]
    return (bits.astype(np.float32) * 2 - 1).reshape(shape)
