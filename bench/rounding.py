"""Measure how much floating-point rounding adds to the sensitivity of a step's clipped sum.

Run: python -m bench.rounding CONFIG [--set section.key=value] [--sizes 8 32 128] [--repeats 5] [--dtypes float32 bfloat16]
[--moved 0.02].
A step of ``client.trainer.train`` runs on n records, on all but one of them, and on that one only. Without rounding, the
first sum would equal the other two together; they differ because padding, micro-batches and kernels change with the batch.
All records are clipped, since rounding is largest relative to C then. No record is printed. Rows: runs/bench/rounding.json.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench.packing import records_of
from bench.scripted_round import Script, sums_of
from bench.share import SMALL, learner_of, with_options
from bench.table import parser_of
from client.units import TrainingSet
from shared.config.run import RunConfig
from shared.seeds import stream
from shared.tasks.base import Learner
from shared.tasks.examples import Example

OUTPUT = Path("runs/bench/rounding.json")
MOVED = 0.02  # standard deviation of random changes to the adapter, as after some steps of training
Row = dict[str, str | int | float]


def main() -> None:
    """Measure, print a table and write the rows."""
    parser = parser_of(__doc__, config=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 32, 128, 512], help="records of a batch")
    parser.add_argument("--repeats", type=int, default=5, help="batches of each size; each leaves out another record")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], help="dtypes of the frozen base model")
    parser.add_argument("--moved", type=float, default=MOVED, help="standard deviation of random changes to the adapter")
    arguments = parser.parse_args()
    rows: list[Row] = []
    table = Table(
        "base", "records", "batch", "median / C", "max / C", "max / C / root n", title="Change of the sum by rounding"
    )
    for dtype in arguments.dtypes:
        config = RunConfig.load(arguments.config, [*arguments.set, f"model.dtype={dtype}"])
        for row in measured(config, arguments.sizes, arguments.repeats, arguments.moved):
            rows.append(row)
            table.add_row(*(f"{value:.2g}" if isinstance(value, float) else str(value) for value in row.values()))
            print(row, flush=True)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    Console(width=110).print(table, f"{torch.get_num_threads()} threads. Rows: {OUTPUT}")


def measured(config: RunConfig, sizes: Sequence[int], repeats: int, moved: float) -> list[Row]:
    """Measure each batch size with packed and with padded batches, and return one row for each."""
    config = with_options(config, ())
    learner = learner_of(config, (), moved)
    examples = learner.task.encode(records_of(config))
    rows: list[Row] = []
    for each in (learner, replace(learner, may_pack=False)):
        for size in sizes:
            found = [slack_of(config, each, _drawn(examples, size, turn)) for turn in range(repeats)]
            rows.append(
                {
                    "base": config.model.dtype,
                    "records": size,
                    "batch": "packed" if each.packs else "padded",
                    "median": statistics.median(found),
                    "max": max(found),
                    "per root": max(found) / size**0.5,
                }
            )
    return rows


def slack_of(config: RunConfig, learner: Learner, examples: Sequence[Example]) -> float:
    """Return the L2 norm, in units of C, of the change in the other examples' clipped sum when the first is added."""
    parts = (examples, examples[1:], examples[:1])
    whole, others, alone = (_sum(config, learner, part) for part in parts)
    return float((whole - others - alone).norm())


def _sum(config: RunConfig, learner: Learner, examples: Sequence[Example]) -> torch.Tensor:
    """Return the clipped sum of these examples, computed as at a site that has only these."""
    script = Script([(list(range(len(examples))), False)])
    return sums_of(config, learner, TrainingSet.of(examples), script, SMALL)[0]


def _drawn(examples: Sequence[Example], size: int, turn: int) -> list[Example]:
    """Draw ``size`` of the examples, different ones for each turn."""
    chosen = stream(0, "rounding", turn).choice(len(examples), size=size, replace=False)
    return [examples[int(place)] for place in np.asarray(chosen)]


if __name__ == "__main__":
    main()
