"""Per-record gradients of one tensor, written out or left as the two factors that make them, by which costs less.

A linear map's gradient of record i is ``left_i' right_i`` with left (t, a) and right (t, b) over t positions. Its norm
can be had from the product (t a b multiply-adds) or, without it, from the Gram matrices of left and right
(t^2 (a + b); Goodfellow 2015, arXiv 1510.01799, for t = 1; Li et al. 2022, arXiv 2110.05679). docs/engine.md counts.
"""

from dataclasses import dataclass, field

import torch

from shared.models.batch_layout import Layout

BLOCK = 512  # squares that are added up in float32: torch adds up all of a tensor in turn, which loses 1e-5 and more
ROUNDING = 2.0**-20  # of a record's reach
GRAM_COST = 2  # a Gram matrix is made in float64, at half the speed: its terms cancel, and a norm must not come out low


@dataclass(frozen=True)
class Factored:
    """Gradients (n, a, b) that stay factors: left (T, a) and right (T, b), rows that lie as ``layout`` says."""

    left: torch.Tensor = field(repr=False)
    right: torch.Tensor = field(repr=False)
    layout: Layout

    def dense(self) -> torch.Tensor:
        """The gradients, (n, a, b); the shorter side stands first in the product, which the kernels compute fastest."""
        turned = self.left.shape[1] > self.right.shape[1]
        first, second = (self.right, self.left) if turned else (self.left, self.right)
        pieces = zip(self.layout.cut(first), self.layout.cut(second), strict=True)
        written = self.layout.joined([torch.bmm(one.transpose(1, 2), other) for one, other in pieces])
        return written.transpose(1, 2) if turned else written

    def norms(self) -> torch.Tensor:
        """Return a number that the L2 norm of each record's gradient does not exceed, also as it is computed, (n,) float64.

        Where a record's positions cancel, its gradient is small and its rounding is not: both the Gram matrices and
        ``weighted_sum`` are off by some 2^-53 of the record's ``reach``, the sum of its positions' own norms. So 2^-20 of
        the reach is added to the norm in quadrature. Without cancelling that is some 1e-11 of the norm.
        """
        precise = wide(self.left.device)
        pieces = zip(self.layout.cut(self.left.to(precise)), self.layout.cut(self.right.to(precise)), strict=True)
        squares = self.layout.joined([_squares(left, right) for left, right in pieces])
        return squares.sqrt()

    def weighted_sum(self, weights: torch.Tensor) -> torch.Tensor:
        """The sum of the gradients, record i's times ``weights[i]``, (a, b): one product over all positions.

        A weight of 0 takes a record out, whatever is in it. In float64, as the norm: a record's terms may cancel, and what
        float32 leaves of them could be more than the norm says.
        """
        precise = wide(self.left.device)
        left = _finite(self.left).to(precise) * self.layout.spread(weights.to(precise))[:, None]
        return (left.t() @ _finite(self.right).to(precise)).to(self.left.dtype)

    def to(self, dtype: torch.dtype) -> "Factored":
        """The same in another dtype."""
        return Factored(self.left.to(dtype), self.right.to(dtype), self.layout)


Gradients = torch.Tensor | Factored


def gradients_of(left: torch.Tensor, right: torch.Tensor, layout: Layout) -> Gradients:
    """The gradients ``left_i' right_i`` in the form whose norms and weighted sum take fewer operations.

    ``left`` (T, a) and ``right`` (T, b), or (n, ..., a) and (n, ..., b), lie as ``layout`` says.
    """
    # Numbers alone: a saved input would keep its graph until the step ends.
    first, second = (side.detach().reshape(-1, side.shape[-1]) for side in (left, right))
    factored = Factored(first, second, layout)
    return factored if gram_is_cheaper(layout, first.shape[1], second.shape[1]) else factored.dense()


def gram_is_cheaper(layout: Layout, a: int, b: int) -> bool:
    """Whether 2 t^2 (a + b) is below t a b, summed over records: few positions and a large gradient, as a head has."""
    positions = sum(layout.sizes)
    squares = sum(records * length**2 for records, length in layout.runs)
    return GRAM_COST * squares * (a + b) < positions * a * b


def records(gradients: Gradients) -> int:
    """How many records the gradients are of."""
    return sum(count for count, _ in gradients.layout.runs) if isinstance(gradients, Factored) else len(gradients)


def dense(gradients: Gradients) -> torch.Tensor:
    """Gradients written out, (n, ...)."""
    return gradients.dense() if isinstance(gradients, Factored) else gradients


def norms(gradients: Gradients) -> torch.Tensor:
    """The L2 norm of each record's gradient, (n,) float64 (float32 where the device has none), right to 1e-7.

    One float32 sum over all of a tensor comes out up to 4e-5 low at 3072 x 256 numbers, and a norm that is too low lets a
    record add more than the clip allows.
    """
    if isinstance(gradients, Factored):
        return gradients.norms()
    flat = gradients.flatten(1)
    even = flat.shape[1] - flat.shape[1] % BLOCK
    parts = [flat[:, even:, None].transpose(1, 2)] if even < flat.shape[1] else []
    parts += [torch.unflatten(flat[:, :even], 1, (-1, BLOCK))] if even else []
    found = torch.cat([torch.linalg.vector_norm(part, dim=2) for part in parts], dim=1)  # (n, blocks)
    written: torch.Tensor = torch.linalg.vector_norm(found.to(wide(found.device)), dim=1)
    return written


def wide(device: torch.device) -> torch.dtype:
    """The widest float of a device: Apple's GPUs have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def weighted_sum(gradients: Gradients, weights: torch.Tensor) -> torch.Tensor:
    """The sum of the gradients, record i's times ``weights[i]``; a weight of 0 takes a record out, whatever is in it."""
    if isinstance(gradients, Factored):
        return gradients.weighted_sum(weights)
    total: torch.Tensor = torch.einsum("i,i...", weights.to(gradients.dtype), _finite(gradients))
    return total


def sums(rows: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Each record's sum over its positions, (n, d), of rows that lie as ``layout`` says."""
    return layout.joined([piece.sum(dim=1) for piece in layout.cut(rows.reshape(-1, rows.shape[-1]))])


def keep(parameter: torch.Tensor, gradients: Gradients) -> None:
    """Leave per-record gradients where Opacus' optimiser looks for them; a layer that is used twice adds up."""
    gradients = gradients.to(parameter.dtype)
    present = getattr(parameter, "grad_sample", None)
    parameter.grad_sample = gradients if present is None else dense(present) + dense(gradients)  # type: ignore[attr-defined]


def _squares(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return the squared norms of records' gradients, from left (n, t, a) and right (n, t, b), with room for rounding."""
    reach = (torch.linalg.vector_norm(left, dim=2) * torch.linalg.vector_norm(right, dim=2)).sum(dim=1)
    squares: torch.Tensor = (_gram(left) * _gram(right)).sum(dim=(1, 2)).clamp(min=0)
    spare: torch.Tensor = (ROUNDING * reach).square()
    return squares + spare


def _gram(piece: torch.Tensor) -> torch.Tensor:
    return torch.bmm(piece, piece.transpose(1, 2))


def _finite(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.nan_to_num(0.0, 0.0, 0.0)
