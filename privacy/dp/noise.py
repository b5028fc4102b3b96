"""The one source of privacy noise: Gaussian numbers from the operating system's entropy.

No function here takes a seed or a generator: noise that can be drawn again can be subtracted.
"""

import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from privacy.dp.entropy import uniforms_on
from shared.errors import PrivacyError

CHUNK = 1 << 14  # numbers drawn at once on a CPU: four Gaussians each fit its cache
CHUNK_ON_GPU = 1 << 20
Noise = Callable[[tuple[int, ...], float, torch.device], torch.Tensor]


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


class NoiseAhead:
    """The noise of a round's steps, each drawn by a thread while its step computes gradients; use it as a context.

    A thread's draw is the same call of ``source`` as without it, in the same order, one a step and none after the last. A
    GPU, which is given its work and not waited for, draws when it is asked.
    """

    def __init__(self, source: Noise, size: int, device: torch.device, steps: int) -> None:
        self._source, self._size, self._device = source, size, device
        self._left = 0 if device.type == "cuda" else steps
        self._thread = ThreadPoolExecutor(1)
        self._begun: tuple[float, Future[torch.Tensor]] | None = None

    def __enter__(self) -> "NoiseAhead":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def begin(self, std: float) -> None:
        """Let the thread draw the next step's noise, of standard deviation ``std``, if the round has another step."""
        if self._left and self._begun is None:
            self._left -= 1
            self._begun = std, self._thread.submit(self._source, (self._size,), std, self._device)

    def take(self, std: float) -> torch.Tensor:
        """This step's noise, (size,).

        Raises:
            PrivacyError: another standard deviation is asked for than was drawn.
        """
        if self._begun is None:
            return self._source((self._size,), std, self._device)
        drawn, future = self._begun
        self._begun = None
        if drawn != std:
            raise PrivacyError(f"noise of standard deviation {drawn} was drawn where {std} is due; report this")
        return future.result()


def _normals(count: int, device: torch.device) -> torch.Tensor:
    """``count`` standard Gaussians, (count,) float64, by Box and Muller (1958); ``count`` is even."""
    radius, angle = uniforms_on(device, count).view(2, count // 2)
    radius.log_().mul_(-2).sqrt_()
    angle.mul_(2 * math.pi)
    return torch.cat((radius * angle.cos(), radius * angle.sin()))
