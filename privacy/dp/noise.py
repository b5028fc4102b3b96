"""The one source of privacy noise: Gaussian numbers from the operating system's entropy.

No function here takes a seed or a generator: noise that can be drawn again can be subtracted.
"""

import math

import torch

from privacy.dp.entropy import uniforms_on

CHUNK = 1 << 14  # numbers drawn at once on a CPU: four Gaussians each fit its cache
CHUNK_ON_GPU = 1 << 20


def gaussian(shape: torch.Size | tuple[int, ...], std: float, device: torch.device) -> torch.Tensor:
    """Independent float32 Gaussian noise of standard deviation ``std``; a CUDA device draws it itself.

    Each number is half the sum of four Gaussians, so that the low bits of a float do not give the noise away
    (Holohan and Braghin 2021, arXiv 2107.10138).
    """
    own = device.type == "cuda"
    place, chunk = (device, CHUNK_ON_GPU) if own else (torch.device("cpu"), CHUNK)
    out = torch.empty(math.prod(shape), dtype=torch.float32, device=place)
    for part in torch.split(out, chunk):
        part.copy_(_normals(4 * len(part), place).view(4, -1).sum(dim=0).mul_(std / 2))
    return out.reshape(shape).to(device)


def _normals(count: int, device: torch.device) -> torch.Tensor:
    """``count`` standard Gaussians, (count,) float64, by Box and Muller (1958); ``count`` is even."""
    radius, angle = uniforms_on(device, count).view(2, count // 2)
    radius.log_().mul_(-2).sqrt_()
    angle.mul_(2 * math.pi)
    return torch.cat((radius * angle.cos(), radius * angle.sin()))
