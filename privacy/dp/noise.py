"""The one source of privacy noise: Gaussian numbers from the operating system's entropy.

No function here takes a seed or a generator: noise that can be drawn again can be subtracted.
"""

import numpy as np
import numpy.typing as npt
import torch

from privacy.dp.entropy import uniforms

CHUNK = 1 << 17  # samples drawn at once, to bound the memory


def gaussian(shape: torch.Size | tuple[int, ...], std: float, device: torch.device) -> torch.Tensor:
    """Independent float32 Gaussian noise of standard deviation ``std``.

    Each number is half the sum of four Gaussians, so that the low bits of a float do not give the noise away
    (Holohan and Braghin 2021, arXiv 2107.10138).
    """
    count = int(np.prod(shape))
    out = np.empty(count, dtype=np.float32)
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        out[start : start + size] = _normals(4 * size).reshape(4, size).sum(axis=0) * (std / 2)
    return torch.from_numpy(out).reshape(shape).to(device)


def _normals(count: int) -> npt.NDArray[np.float64]:
    """``count`` standard Gaussians by Box and Muller (1958); ``count`` is even."""
    radius = np.sqrt(-2.0 * np.log(uniforms(count // 2)))
    angle = (2.0 * np.pi) * uniforms(count // 2)
    return np.concatenate((radius * np.cos(angle), radius * np.sin(angle)))
