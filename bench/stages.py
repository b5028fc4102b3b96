"""Measure where the time of `hushtune simulate` goes: seconds and processor seconds of each stage.

Run: python -m bench.stages CONFIG [--set section.key=value] [--workers N]; `bench/trivial.toml` has next to no training, so
that nearly all of its time is overhead, and `bench/ten.toml` ten sites of 900 records. Stages are told apart by the progress
that the command itself reports. Each run is a fresh process; ``start`` is the import of modules. Processor seconds, which
other work on the machine disturbs less, are those of all threads; those of workers are in the last row alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def main() -> None:
    """Measure and print."""
    # not `bench.table.parser_of`, because the run's own process must not import modules before it is measured
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", type=Path, help="the run's TOML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one field of it")
    parser.add_argument("--workers", type=int, default=1, help="processes that train the sites; default: 1")
    parser.add_argument("--turns", type=int, default=3, help="runs, of which the medians are printed; default: 3")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        sys.stdout.write(json.dumps(_once(arguments.config, arguments.set, arguments.workers)) + "\n")
        return
    from bench.table import print_rows

    print_rows(medians([_in_a_process(sys.argv[1:]) for _ in range(arguments.turns)]), arguments.json, 60)


def medians(turns: Sequence[Sequence[Row]]) -> list[Row]:
    """Return the median of each stage over the turns, and of the sums.

    Parameters
    ----------
    turns
        The rows of each run: ``stage``, ``seconds`` and ``processor``.
    """
    rows = []
    for stage in dict.fromkeys(row["stage"] for turn in turns for row in turn):
        each = [row for turn in turns for row in turn if row["stage"] == stage]
        rows.append(
            {"stage": stage, **{key: statistics.median(row[key] for row in each) for key in ("seconds", "processor")}}
        )
    return rows


def _in_a_process(arguments: Sequence[str]) -> list[Row]:
    command = [sys.executable, "-m", "bench.stages", *arguments, "--once"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"stages: the run failed: {done.stderr.strip().splitlines()[-1]}")
    rows: list[Row] = json.loads(done.stdout.splitlines()[-1])
    return rows


def _once(path: Path, overrides: Sequence[str], workers: int) -> list[Row]:
    """Run the simulation in this process, whose modules are not imported yet; return a row for each stage and the sum."""
    marks = [("start", 0.0, 0.0)]
    begun = time.monotonic()

    def progress(stage: str, total: int) -> "Advance":
        marks.append((stage, time.monotonic() - begun, time.process_time()))
        return lambda units: None

    from shared.config.run import RunConfig
    from shared.ops.progress import Advance
    from simulations.run import simulate

    simulate(RunConfig.load(path, overrides), progress, workers)
    progress("all", 0)
    spent = os.times()
    rows = [
        {"stage": stage, "seconds": round(later[1] - wall, 3), "processor": round(later[2] - used, 3)}
        for (stage, wall, used), later in pairwise(marks)
    ]
    together = marks[-1][2] + spent.children_user + spent.children_system
    return [*rows, {"stage": "all", "seconds": round(marks[-1][1], 3), "processor": round(together, 3)}]


if __name__ == "__main__":
    main()
