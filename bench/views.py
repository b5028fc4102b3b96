"""Accuracy, time and memory of a run with 1, 4 and 8 views of each record, which privacy averages before the clip.

Run: python -m bench.views configs/demo.toml [--set section.key=value]. Each run is a process of its own; all
take their records from one cache of scrubbed text, and the same seed.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from shared.errors import HushtuneError
from shared.ops.numbers import epsilon_up

VIEWS = (1, 4, 8)


def measure(config: Path, overrides: Sequence[str], views: int, folder: Path) -> dict[str, Any]:
    """One run with so many views: its metric with the interval, epsilon, seconds of training and peak memory."""
    from shared.config.run import RunConfig
    from simulations.run import simulate

    places = (f'run.output="{folder / str(views)}"', f'data.cache="{folder}"', "data.cache_encrypted=false")
    run = RunConfig.load(config, [*overrides, *places, f"augmentation.views={views}", "report.html=false"])
    report = simulate(run).report
    name, interval = next(iter(report["final"].items()))
    return {
        "views": views,
        name: interval,
        "epsilon": max(site["epsilon"] for site in report["sites"]),
        "train_seconds": report["stages"]["train"],
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Run with each number of views and print the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", type=Path, help="the run's TOML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one field of it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for views in (VIEWS[0], *VIEWS):  # the first fills the cache, and is not counted
            with context.Pool(1) as pool:
                rows.append(pool.apply(measure, (arguments.config, arguments.set, views, Path(folder))))
    if arguments.json:
        sys.stdout.write(json.dumps(rows[1:], indent=2) + "\n")
        return
    table = Table(*rows[1])
    for row in rows[1:]:
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    Console(width=120).print(table)


def _cell(name: str, value: Any) -> str:
    if name == "epsilon":
        return epsilon_up(value)
    if isinstance(value, dict):
        return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    try:
        main()
    except HushtuneError as error:
        sys.exit(f"bench_views: {error}")
