"""Compute the stream cipher ChaCha20 (RFC 8439) with tensor operations, so that a GPU can make its own random bits."""

import torch

BLOCK = 64  # bytes
ROUNDS = 10  # double rounds
CONSTANTS = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)  # first row of the state, as the RFC fixes it


def keystream(key: torch.Tensor, blocks: int, nonce: tuple[int, int, int] = (0, 0, 0), counter: int = 0) -> torch.Tensor:
    """Return the first blocks of the ChaCha20 keystream, on the key's device.

    The RFC adds modulo 2^32; additions of int32 tensors wrap around in the same way.

    Parameters
    ----------
    key : tensor (8,) int32
        The 256-bit key, as little-endian words (RFC 8439).
    blocks
        Number of 64-byte blocks.
    nonce
        Three 32-bit words.
    counter
        Number of the first block.

    Returns
    -------
    tensor (blocks, 16) int32
        Little-endian words of the blocks.
    """
    rows = key.new_empty((4, 4, blocks))  # the state: four rows of four words
    for place, word in enumerate(CONSTANTS):
        rows[0, place] = word
    rows[1:3] = key.view(2, 4, 1)
    torch.arange(counter, counter + blocks, out=rows[3, 0])
    for place, word in enumerate(nonce, start=1):
        rows[3, place] = word - (word >> 31 << 32)  # the same bits, signed
    a, b, c, d = rows.clone()
    for _ in range(ROUNDS):
        a, b, c, d = _quarter_rounds(a, b, c, d)  # on columns
        b, c, d = b.roll(-1, 0), c.roll(-2, 0), d.roll(-3, 0)
        a, b, c, d = _quarter_rounds(a, b, c, d)  # on diagonals
        b, c, d = b.roll(1, 0), c.roll(2, 0), d.roll(3, 0)
    return (torch.stack((a, b, c, d)) + rows).reshape(16, blocks).t().contiguous()


def _quarter_rounds(
    a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, d: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    a = a + b
    d = _rotated(d ^ a, 16)
    c = c + d
    b = _rotated(b ^ c, 12)
    a = a + b
    d = _rotated(d ^ a, 8)
    c = c + d
    b = _rotated(b ^ c, 7)
    return a, b, c, d


def _rotated(words: torch.Tensor, bits: int) -> torch.Tensor:
    """Rotate words to the left; the mask removes the sign bits that the right shift of a signed number fills in."""
    return (words << bits) | ((words >> (32 - bits)) & ((1 << bits) - 1))
