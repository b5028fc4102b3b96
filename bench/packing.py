"""Compare the time of a private step on packed batches with the same step on padded batches.

Run: python -m bench.packing configs/demo.toml [--set section.key=value]. Each turn draws a batch of the first site's records
at the config's sampling rate. Every variant takes one full step on it (micro-batches, gradients, clipping, noise and AdamW),
in a different order each turn. Ratios are relative to the padded step of the same turn; medians over turns. Records are not
anonymised, and no record is printed. Rows: runs/bench/packing.json.
"""

import json
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench.step import PLAN, timed
from bench.table import parser_of, run_bench
from client.optimizer import optimizer_of
from privacy.dp.engine import PrivateStep, make_private
from shared.config.run import RunConfig
from shared.records.types import Record
from shared.seeds import stream
from shared.tasks import load_task
from shared.tasks.base import Learner
from shared.tasks.examples import Batch, Example
from shared.tasks.micro_batches import FIXED_COST, micro_batches
from simulations.reading import read_sites

OUTPUT = Path("runs/bench/packing.json")
PADDED = "padded"
VARIANTS = (PADDED, "end to end")
TURNS = 15


def main() -> None:
    """Measure, print a table and write the rows."""
    arguments = parser_of(__doc__, config=True).parse_args()
    config = RunConfig.load(arguments.config, arguments.set)
    rows, padding = measure(config, TURNS)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    table = Table("variant", "time", "processor", "seconds", title="One private step, against padded batches")
    for row in rows:
        table.add_row(str(row["variant"]), *(f"{row[key]:.3f}" for key in ("time_ratio", "processor_ratio", "seconds")))
    note = f"{torch.get_num_threads()} threads; {padding:.1%} of the padded tokens are padding. Rows: {OUTPUT}"
    Console(width=110).print(table, note)


def measure(config: RunConfig, turns: int) -> tuple[list[dict[str, str | float]], float]:
    """Return one row per variant, and the share of padding in the padded batches' tokens."""
    base, task = load_task(config)
    learner = Learner(base, task, task.build(base, config.run.seed))
    learner.model.train()
    examples, draw = task.encode(records_of(config)), stream(config.run.seed, "bench").random
    optimizer, plan = optimizer_of(learner.model, config.training), replace(PLAN, declared_size=len(examples))
    counts, found = [0, 0], []
    with make_private(learner.model, optimizer, plan, plan.expected_batch) as (_, step):
        assert isinstance(step, PrivateStep)  # noqa: S101  there is a plan
        for turn in range(turns + 1):
            chosen = np.flatnonzero(draw(len(examples)) < config.training.sampling_rate)
            rows = [examples[row] for row in chosen]
            start = turn % len(VARIANTS)
            order = (*VARIANTS[start:], *VARIANTS[:start])
            found.append({name: timed(partial(_take, learner, step, rows, config, name)) for name in order})
            counts[0] += sum(map(len, rows))
            counts[1] += sum(batch.ids.numel() for batch in _batches(learner, rows, config, PADDED))
    return [_row(name, found[1:]) for name in VARIANTS], 1 - counts[0] / counts[1]


def records_of(config: RunConfig) -> list[Record]:
    """Read the records of the config's first site, without anonymising them."""
    with tempfile.TemporaryDirectory() as folder:
        raw = next(iter(read_sites(config, Path(folder)).values()))
    return [Record(each.fields, each.label, each.position) for each in raw]


def _take(learner: Learner, step: PrivateStep, rows: Sequence[Example], config: RunConfig, variant: str) -> None:
    """Take one step on these examples."""
    for batch in _batches(learner, rows, config, variant):
        torch.autograd.backward(learner.task.training_losses(learner.model, batch, config.training.distillation).sum())
        step.accumulate()
    step.finish()


def _batches(learner: Learner, rows: Sequence[Example], config: RunConfig, variant: str) -> Iterator[Batch]:
    """Yield the micro-batches of a step: packed, or padded and grouped so that there is as little padding as possible."""
    most, places = learner.tokens(config.training), range(len(rows))
    if variant != PADDED:
        yield from (batch for _, batch in learner.batches(rows, places, most))
        return
    cost = FIXED_COST[learner.base.device.type]
    for units in micro_batches([len(row) for row in rows], [(place,) for place in places], most, cost):
        yield learner.padded([rows[place] for (place,) in units])


def _row(name: str, turns: Sequence[Mapping[str, tuple[float, float]]]) -> dict[str, str | float]:
    return {
        "variant": name,
        "time_ratio": round(statistics.median(turn[name][0] / turn[PADDED][0] for turn in turns), 3),
        "processor_ratio": round(statistics.median(turn[name][1] / turn[PADDED][1] for turn in turns), 3),
        "seconds": round(statistics.median(turn[name][0] for turn in turns), 4),
    }


if __name__ == "__main__":
    run_bench(main)
