"""Accuracy, time and memory of a run with paraphrases among the views of each record, beside the same run without.

Run: python -m bench.paraphrases configs/paraphrases.toml [--set section.key=value]. The rows differ in the views
of a record alone: the same records, scrubbed once, and the same seed. Noise has none, so each is run several times, and a
gain is over the same held-out records of all these runs. Paraphrases are written in the first run of their row, whose set-up
is told apart. Each run is a process of its own.
"""

import argparse
import json
import multiprocessing
import resource
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from shared.errors import HushtuneError
from shared.metrics.bootstrap import Sums
from shared.tasks.outcome import Outcome

RUNS = 3
RESAMPLES = 2000
KINDS: Mapping[str, Sequence[str]] = {
    "the text alone": ("augmentation.paraphrases=0", "augmentation.views=1"),
    "noised": ("augmentation.paraphrases=0",),
    "paraphrased": (),
}


@dataclass(frozen=True)
class Measured:
    """One run: what the adapter does on the held-out records, and what it took."""

    outcome: Outcome = field(repr=False)
    counts: Mapping[str, int]
    set_up_seconds: float
    train_seconds: float
    peak_megabytes: int


def measure(config: Path, overrides: Sequence[str], folder: Path) -> Measured:
    """One run of a config; ``folder`` is the cache of all runs."""
    from shared.adapters.peft import write_adapter
    from shared.config.run import RunConfig
    from simulations.assembly import assemble, federate, held_out_records
    from simulations.planning import site_plans
    from simulations.sites import read_sites, scrub_sites

    places = (f'data.cache="{folder}"', "data.cache_encrypted=false")
    run = RunConfig.load(config, [*overrides, *places])
    with tempfile.TemporaryDirectory() as own:
        clock = time.monotonic()
        data = scrub_sites(run, read_sites(run, Path(own)), Path(own))
        set_up = time.monotonic() - clock
        prepared = assemble(run, site_plans(run), data, held_out_records(run, data), Path(own))
        clock = time.monotonic()
        rounds = list(federate(prepared, run, secrets.token_hex(8), lambda _: None, lambda _: {}, lambda _: None))
        trained = time.monotonic() - clock
    write_adapter(prepared.learner.model, rounds[-1].adapter)
    counts: dict[str, int] = {}
    for site in data:
        for name, count in site.touched.items():
            counts[name] = counts.get(name, 0) + count
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return Measured(prepared.measures.evaluator.outcome(), counts, set_up, trained, peak)


def rows(config: Path, overrides: Sequence[str], runs: int, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each kind of views, of so many runs; each gain is over the first row."""
    context = multiprocessing.get_context("spawn")
    first: Sums | None = None
    for name, changes in KINDS.items():
        found = []
        for _ in range(runs + 1):  # the first fills the cache, and its training is not counted
            with context.Pool(1) as pool:
                found.append(pool.apply(measure, (config, [*overrides, *changes], folder)))
        sums = _sums([each.outcome for each in found[1:]])
        yield _row(name, found, sums, first)
        first = first or sums


def _row(name: str, found: Sequence[Measured], sums: Sums, beside: Sums | None) -> dict[str, Any]:
    """What is told of some runs of one kind; the gain is over those that ``beside`` is of."""
    from shared.metrics.paired import compare

    first, counted = found[0], found[1:]
    return {
        "views": name,
        sums.name: asdict(sums.interval(RESAMPLES, 0.95, 0)),
        "gain": asdict(compare(beside, sums, RESAMPLES, 0.95, 0).change) if beside else None,
        "set_up_seconds": first.set_up_seconds,
        "set_up_again": float(np.mean([each.set_up_seconds for each in counted])),
        "set_up_megabytes": first.peak_megabytes,
        "train_seconds": float(np.mean([each.train_seconds for each in counted])),
        "peak_megabytes": max(each.peak_megabytes for each in counted),
        "counts": {name: count for name, count in first.counts.items() if name.startswith("augmentation.")},
    }


def _sums(outcomes: Sequence[Outcome]) -> Sums:
    """Return the primary metric over several runs on the same records, resampled by record."""
    sums = [each.primary() for each in outcomes]
    return replace(sums[0], rows=np.mean([each.rows for each in sums], axis=0))


def main() -> None:
    """Run each kind and print the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", type=Path, help="the run's TOML file; it must ask for paraphrases and name a paraphraser")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one field of it")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each kind")
    parser.add_argument("--cache", type=Path, help="folder that keeps scrubbed records and paraphrases, for another time")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = list(rows(arguments.config, arguments.set, arguments.runs, arguments.cache or Path(scratch)))
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    table = Table(*(name for name in found[0] if name != "counts"))
    for row in found:
        table.add_row(*(_cell(value) for name, value in row.items() if name != "counts"))
    console = Console(width=160)
    console.print(table)
    for name, count in found[-1]["counts"].items():
        console.print(f"{name}: {count}")


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
    return "" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    try:
        main()
    except HushtuneError as error:
        sys.exit(f"bench_paraphrases: {error}")
