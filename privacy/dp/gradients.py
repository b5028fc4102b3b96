"""Hold the per-record gradients of one tensor: dense, or as two factors to be multiplied, whichever costs less.

A linear map's gradient of record i is ``left_i' right_i`` with left (t, a) and right (t, b) over t positions. Its norm
follows from the product (t a b multiply-adds) or, without the product, from the Gram matrices of left and right
(t^2 (a + b); Goodfellow 2015, arXiv 1510.01799, for t = 1; Li et al. 2022, arXiv 2110.05679). docs/engine.md has the counts.
"""

from dataclasses import dataclass, field

import torch

from shared.models.batch_layout import Layout

BLOCK = 512  # squares summed at once in float32; summing a whole tensor in sequence, as torch does, loses 1e-5 and more
ROUNDING = 2.0**-20  # margin for rounding, as a share of a record's reach (see Factored.norms)
GRAM_COST = 2  # a Gram matrix is computed in float64, at half the speed: its terms cancel, and no norm may be too low


@dataclass(frozen=True)
class Factored:
    """Gradients (n, a, b) as two factors, left (T, a) and right (T, b); ``layout`` maps the T rows to the n records."""

    left: torch.Tensor = field(repr=False)
    right: torch.Tensor = field(repr=False)
    layout: Layout

    def dense(self) -> torch.Tensor:
        """Compute the gradients, (n, a, b), with the shorter side first in the product, which is fastest."""
        turned = self.left.shape[1] > self.right.shape[1]
        first, second = (self.right, self.left) if turned else (self.left, self.right)
        pieces = zip(self.layout.cut(first), self.layout.cut(second), strict=True)
        written = self.layout.joined([torch.bmm(one.transpose(1, 2), other) for one, other in pieces])
        return written.transpose(1, 2) if turned else written

    def norms(self) -> torch.Tensor:
        """Return an upper bound of the L2 norm of each record's gradient, (n,) float64.

        It bounds both the exact gradient and the one that ``weighted_sum`` adds. If the positions of a record cancel, its
        gradient is small but the rounding errors are not. Let the *reach* of a record be the sum of the norms of its
        positions. ``weighted_sum`` is off by about 2^-53 of the reach, and the square of the norm, from the Gram matrices,
        by about 2^-53 of the square of the reach. Therefore 2^-20 of the reach is added to the norm in quadrature. Where
        the reach is five times the norm, that adds 1e-11 of the norm.
        """
        precise = wide(self.left.device)
        pieces = zip(self.layout.cut(self.left.to(precise)), self.layout.cut(self.right.to(precise)), strict=True)
        squares = self.layout.joined([_squares(left, right) for left, right in pieces])
        return squares.sqrt()

    def weighted_sum(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the sum over records i of ``weights[i]`` times the gradient, (a, b), by one product over all positions.

        A weight of 0 removes a record, even one that holds NaN. The product is computed in float64, as the norm is: a
        record's terms may cancel, and the rounding error of float32 could then exceed the norm.
        """
        precise = wide(self.left.device)
        left = _finite(self.left).to(precise) * self.layout.spread(weights.to(precise))[:, None]
        return (left.t() @ _finite(self.right).to(precise)).to(self.left.dtype)

    def to(self, dtype: torch.dtype) -> "Factored":
        """Convert both factors to another dtype."""
        return Factored(self.left.to(dtype), self.right.to(dtype), self.layout)


Gradients = torch.Tensor | Factored


def gradients_of(left: torch.Tensor, right: torch.Tensor, layout: Layout) -> Gradients:
    """Return the gradients ``left_i' right_i`` in the form whose norms and weighted sum take fewer operations.

    Parameters
    ----------
    left : tensor (T, a) or (n, ..., a)
        Gradient of the layer's output at each position.
    right : tensor (T, b) or (n, ..., b)
        Input of the layer at each position.
    layout
        Maps positions to records.
    """
    # Detached, because a saved input would keep its graph until the step ends.
    first, second = (side.detach().reshape(-1, side.shape[-1]) for side in (left, right))
    factored = Factored(first, second, layout)
    return factored if gram_is_cheaper(layout, first.shape[1], second.shape[1]) else factored.dense()


def gram_is_cheaper(layout: Layout, a: int, b: int) -> bool:
    """Return whether the sum over records of 2 t^2 (a + b) is below that of t a b, as in a head: small t, large a b."""
    positions = sum(layout.sizes)
    squares = sum(records * length**2 for records, length in layout.runs)
    return GRAM_COST * squares * (a + b) < positions * a * b


def record_count(gradients: Gradients) -> int:
    """Return how many records the gradients belong to."""
    return sum(count for count, _ in gradients.layout.runs) if isinstance(gradients, Factored) else len(gradients)


def dense(gradients: Gradients) -> torch.Tensor:
    """Return the gradients as one tensor, (n, ...)."""
    return gradients.dense() if isinstance(gradients, Factored) else gradients


def norms_of(gradients: Gradients) -> torch.Tensor:
    """Return the L2 norm of each record's gradient, (n,) float64 (float32 if the device has no float64), exact to 1e-7.

    One float32 sum over a whole tensor is up to 4e-5 too low at 3072 x 256 numbers, and with a norm that is too low a record
    adds more than the clipping norm allows.
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
    """Return the widest float type of a device; Apple's GPUs have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def weighted_sum(gradients: Gradients, weights: torch.Tensor) -> torch.Tensor:
    """Return the sum over records of ``weights`` (n,) times the gradient; a weight of 0 removes a record, even a NaN."""
    if isinstance(gradients, Factored):
        return gradients.weighted_sum(weights)
    total: torch.Tensor = torch.einsum("i,i...", weights.to(gradients.dtype), _finite(gradients))
    return total


def sums(rows: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Sum rows (T, d) or (n, ..., d) over the positions of each record, (n, d); ``layout`` maps rows to records."""
    return layout.joined([piece.sum(dim=1) for piece in layout.cut(rows.reshape(-1, rows.shape[-1]))])


def store(parameter: torch.Tensor, gradients: Gradients) -> None:
    """Store per-record gradients in ``parameter.grad_sample``; add them up if the layer is used twice in one pass."""
    gradients = gradients.to(parameter.dtype)
    present = getattr(parameter, "grad_sample", None)
    parameter.grad_sample = gradients if present is None else dense(present) + dense(gradients)  # type: ignore[attr-defined]


def _squares(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return the squared norms of records' gradients, from left (n, t, a) and right (n, t, b), with a rounding margin."""
    reach = (torch.linalg.vector_norm(left, dim=2) * torch.linalg.vector_norm(right, dim=2)).sum(dim=1)
    squares: torch.Tensor = (_gram(left) * _gram(right)).sum(dim=(1, 2)).clamp(min=0)
    spare: torch.Tensor = (ROUNDING * reach).square()
    return squares + spare


def _gram(piece: torch.Tensor) -> torch.Tensor:
    return torch.bmm(piece, piece.transpose(1, 2))


def _finite(tensor: torch.Tensor) -> torch.Tensor:
    """Replace NaN and infinities by 0, because 0 x NaN would be NaN."""
    return tensor.nan_to_num(0.0, 0.0, 0.0)
