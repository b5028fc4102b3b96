"""Per-record gradients of one tensor, written out or left as the two factors that make them, by which costs less.

A linear map's gradient of record i is ``left_i' right_i`` with left (t, a) and right (t, b) over t positions. Its norm
can be had from the product (t a b multiply-adds) or, without it, from the Gram matrices of left and right
(t^2 (a + b); Goodfellow 2015, arXiv 1510.01799, for t = 1; Li et al. 2022, arXiv 2110.05679). docs/engine.md counts.
"""

import math
from dataclasses import dataclass, field

import torch

GRAM_COST = 2  # a Gram matrix is made in float64, at half the speed: its terms cancel, and a norm must not come out low


@dataclass(frozen=True)
class Factored:
    """Gradients (n, a, b) that stay factors: left (n, t, a) and right (n, t, b)."""

    left: torch.Tensor = field(repr=False)
    right: torch.Tensor = field(repr=False)

    def dense(self) -> torch.Tensor:
        """The gradients, (n, a, b); the shorter side stands first in the product, which the kernels compute fastest."""
        if self.left.shape[2] <= self.right.shape[2]:
            return torch.bmm(self.left.transpose(1, 2), self.right)
        return torch.bmm(self.right.transpose(1, 2), self.left).transpose(1, 2)

    def norms(self) -> torch.Tensor:
        """The L2 norm of each record's gradient, (n,)."""
        left, right = self.left.double(), self.right.double()
        squares = (torch.bmm(left, left.transpose(1, 2)) * torch.bmm(right, right.transpose(1, 2))).sum(dim=(1, 2))
        return squares.clamp(min=0).sqrt().to(self.left.dtype)

    def weighted_sum(self, weights: torch.Tensor) -> torch.Tensor:
        """The sum of the gradients, record i's times ``weights[i]``, (a, b): one product over all positions.

        A weight of 0 takes a record out, whatever is in it.
        """
        left, right = _finite(self.left) * weights[:, None, None], _finite(self.right)
        return left.flatten(0, 1).t() @ right.flatten(0, 1)

    def to(self, dtype: torch.dtype) -> "Factored":
        """The same in another dtype."""
        return Factored(self.left.to(dtype), self.right.to(dtype))


Gradients = torch.Tensor | Factored


def gradients_of(left: torch.Tensor, right: torch.Tensor) -> Gradients:
    """The gradients ``left_i' right_i`` in the form whose norms and weighted sum take fewer operations."""
    factored = Factored(left.detach(), right.detach())  # numbers; a saved input would keep its graph until the step ends
    return factored if gram_is_cheaper(left.shape[1], left.shape[2], right.shape[2]) else factored.dense()


def gram_is_cheaper(positions: int, a: int, b: int) -> bool:
    """Whether 2 t^2 (a + b) is below t a b: few positions and a large gradient, as a pooled head has."""
    return GRAM_COST * positions * (a + b) < a * b


def dense(gradients: Gradients) -> torch.Tensor:
    """Gradients written out, (n, ...)."""
    return gradients.dense() if isinstance(gradients, Factored) else gradients


def norms(gradients: Gradients) -> torch.Tensor:
    """The L2 norm of each record's gradient, (n,)."""
    if isinstance(gradients, Factored):
        return gradients.norms()
    written: torch.Tensor = torch.linalg.vector_norm(gradients, dim=tuple(range(1, gradients.dim())))
    return written


def weighted_sum(gradients: Gradients, weights: torch.Tensor) -> torch.Tensor:
    """The sum of the gradients, record i's times ``weights[i]``; a weight of 0 takes a record out, whatever is in it."""
    if isinstance(gradients, Factored):
        return gradients.weighted_sum(weights)
    total: torch.Tensor = torch.einsum("i,i...", weights, _finite(gradients))
    return total


def by_record(tensor: torch.Tensor) -> torch.Tensor:
    """(n, ..., d) as (n, t, d)."""
    return tensor.reshape(len(tensor), math.prod(tensor.shape[1:-1]), tensor.shape[-1])


def keep(parameter: torch.Tensor, gradients: Gradients) -> None:
    """Leave per-record gradients where Opacus' optimiser looks for them; a layer that is used twice adds up."""
    gradients = gradients.to(parameter.dtype)
    present = getattr(parameter, "grad_sample", None)
    parameter.grad_sample = gradients if present is None else dense(present) + dense(gradients)  # type: ignore[attr-defined]


def _finite(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.nan_to_num(0.0, 0.0, 0.0)
