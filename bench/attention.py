"""Compare ways to compute attention in bfloat16 on a CPU: forward and backward, in processor time.

Run: python -m bench.attention. ``float32 kernel`` converts the three inputs and uses torch's fused attention; ``16 bits``
consists of single operations. Training uses the kernel below `shared.models.packing.LONG` positions, and the operations
from there on. The ways take turns; the least time of each is compared, which other work on the machine disturbs least. One
thread.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial

import torch

from bench.table import parser_of, print_rows
from shared.models.packing import eager_attention, fused_attention

# Records, heads, positions and numbers of a head: MiniLM's layers, and one of SmolLM2's.
SHAPES = (
    (1, 12, 20, 32),
    (8, 12, 20, 32),
    (32, 12, 30, 32),
    (16, 12, 48, 32),
    (16, 12, 64, 32),
    (16, 12, 128, 32),
    (1, 9, 301, 64),
)
TURNS = 15
Way = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("--turns", type=int, default=TURNS, help=f"turns of each way; default: {TURNS}")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print_rows([row_of(shape, arguments.turns) for shape in SHAPES], arguments.json, 100)


def row_of(shape: tuple[int, int, int, int], turns: int) -> Mapping[str, str | float]:
    """Return the milliseconds of each way for records of one shape.

    Parameters
    ----------
    shape
        Records, heads, positions, and numbers of a head.
    turns
        Turns of each way.
    """
    records, heads, positions, width = shape
    sides = [torch.randn(records, positions, heads, width, dtype=torch.bfloat16).transpose(1, 2) for _ in range(3)]
    least = {name: min(_seconds(way, sides) for _ in range(turns)) for name, way in WAYS.items()}
    milliseconds = {f"{name}, ms": 1000 * seconds for name, seconds in least.items()}
    return {"records": f"{records} of {positions}", "heads": f"{heads} of {width}", **milliseconds}


def _seconds(way: Way, sides: list[torch.Tensor]) -> float:
    """Return the processor seconds of one forward and backward pass."""
    q, k, v = (side.clone().requires_grad_() for side in sides)
    start = time.process_time()
    out = way(q, k, v)
    torch.autograd.grad(out, (q, k, v), torch.ones_like(out))
    return time.process_time() - start


WAYS: Mapping[str, Way] = {
    "float32 kernel": partial(fused_attention, scaling=0.2, causal=False),
    "16 bits": partial(eager_attention, scaling=0.2, causal=False),
}


if __name__ == "__main__":
    main()
