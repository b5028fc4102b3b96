"""Random bits that nobody can predict or draw again: a keystream of ChaCha20 under a key from the operating system.

Each call takes a new key of 256 bits from the operating system, uses it for that call alone and forgets it. Drawing all
bits from the operating system itself takes several times as long and comes from the same cipher there (Linux: ChaCha20
under a key from the hardware's entropy). A GPU makes the keystream itself, so no noise travels to it.
"""

import os

import numpy as np
import numpy.typing as npt
import torch
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from privacy.dp.keystream import BLOCK, keystream
from shared.models.device import sent

KEY_BYTES = 32
PRECISION = 52  # bits of a uniform number


def uniforms(count: int) -> npt.NDArray[np.float64]:
    """``count`` independent uniform numbers in (0, 1), each from 52 random bits; never exactly 0 or 1."""
    bits = np.frombuffer(random_bytes(8 * count), dtype=np.uint64) >> np.uint64(64 - PRECISION)
    return (bits.astype(np.float64) + 0.5) * 2.0**-PRECISION


def random_words(count: int, device: torch.device) -> torch.Tensor:
    """Return ``count`` independent words of 64 random bits, (count,) int64; a CUDA device makes them itself."""
    if device.type != "cuda":
        return torch.frombuffer(bytearray(random_bytes(8 * count)), dtype=torch.int64).to(device)
    key = torch.frombuffer(bytearray(os.urandom(KEY_BYTES)), dtype=torch.int32)
    words = keystream(sent(key, device), -(-8 * count // BLOCK))
    return words.view(torch.int64).flatten()[:count]


def random_bytes(count: int) -> bytes:
    """``count`` random bytes; a key is enough for 2^38 of them."""
    encryptor = Cipher(ChaCha20(os.urandom(KEY_BYTES), bytes(16)), mode=None).encryptor()
    return encryptor.update(bytes(count))
