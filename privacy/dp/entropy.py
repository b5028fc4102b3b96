"""Draw random bits that nobody can predict or reproduce: a ChaCha20 keystream under a fresh key.

Each call takes a new 256-bit key from the operating system, uses it only for that call and forgets it. Drawing all bits from
the operating system directly takes several times as long and gives the same cipher's output (on Linux: ChaCha20 under a key
from hardware entropy). A GPU computes the keystream itself, so no noise is copied to it.
"""

import os

import numpy as np
import numpy.typing as npt
import torch
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from privacy.dp.keystream import BLOCK, keystream
from shared.models.device import to_device

KEY_BYTES = 32
PRECISION = 52  # bits of a uniform number


def uniforms(count: int) -> npt.NDArray[np.float64]:
    """Return independent uniform numbers in (0, 1), each from 52 random bits; never exactly 0 or 1.

    Parameters
    ----------
    count
        How many numbers to draw.

    Returns
    -------
    array (count,) float64
        The numbers.
    """
    bits = np.frombuffer(random_bytes(8 * count), dtype=np.uint64) >> np.uint64(64 - PRECISION)
    return (bits.astype(np.float64) + 0.5) * 2.0**-PRECISION


def random_words(count: int, device: torch.device) -> torch.Tensor:
    """Return independent 64-bit random words; a CUDA device computes them itself.

    Parameters
    ----------
    count
        How many words to draw.
    device
        Device of the result.

    Returns
    -------
    tensor (count,) int64
        The words.
    """
    if device.type != "cuda":
        return torch.frombuffer(bytearray(random_bytes(8 * count)), dtype=torch.int64).to(device)
    key = torch.frombuffer(bytearray(os.urandom(KEY_BYTES)), dtype=torch.int32)
    words = keystream(to_device(key, device), -(-8 * count // BLOCK))
    return words.view(torch.int64).flatten()[:count]


def random_bytes(count: int) -> bytes:
    """Return random bytes; one key suffices for 2^38 of them.

    Parameters
    ----------
    count
        How many bytes to draw.
    """
    encryptor = Cipher(ChaCha20(os.urandom(KEY_BYTES), bytes(16)), mode=None).encryptor()
    return encryptor.update(bytes(count))
