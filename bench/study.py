"""Train every way of a study on every task, epsilon and seed, and print accuracies and the largest loss of each way.

Run: python -m bench.study bench/rates.toml [--seconds 400] [--set section.key=value]. A study is a run config with a table
[study]; several studies give one table. Finished cells are kept, so a study that was stopped, or that `--seconds` ended,
resumes. The loss of a way in a cell is how far its accuracy lies below that of the best way in the cell; only defaults are
chosen by it.
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bench.study_cells import Cell, Study
from bench.table import parser_of, print_rows, run_bench
from client.data_stage.site_data import SiteData
from privacy.accounting import Accountant
from shared.adapters.ranks import cut
from shared.adapters.state import AdapterState
from shared.config.aggregation import METHODS
from shared.config.run import RunConfig
from shared.metrics.bootstrap import mean
from shared.ops.numbers import epsilon_up
from shared.wire.encodings import ORDERS, REPLIES
from shared.wire.packed_arrays import packed
from simulations.planning import site_plans
from simulations.reading import read_sites
from simulations.sites import scrub_sites
from simulations.studies.bare_rounds import BareFederation


def run(study: Study, seconds: float) -> None:
    """Train the cells that are missing, until all are there or the time is used up."""
    end, accountant, kept = time.monotonic() + seconds, Accountant(), finished(study)
    shared: tuple[str, BareFederation] | None = None
    for cell in study.cells():
        if cell.key in kept or time.monotonic() > end:
            continue
        ranks, adapter = sorted(cell.config.ranks.items()), cell.config.adapter.model_dump(mode="json")
        place = json.dumps([cell.task.name, cell.seed, adapter, ranks])
        if shared is None or shared[0] != place:
            shared = None  # before the next one takes memory
            shared = place, BareFederation.of(cell.config, _records(study, cell))
        began = time.monotonic()
        outcome = shared[1].outcome(cell.config, site_plans(cell.config, accountant))
        took, hits = time.monotonic() - began, (1 - outcome.damage()).astype(int).tolist()
        sent = _bytes_of_a_round(cell.config, shared[1].start)
        row = {"key": cell.key, "hits": "".join(map(str, hits)), "seconds": took, "bytes": sent}
        with (study.folder / "cells.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")
        value = float(np.mean(hits))
        sys.stderr.write(
            f"{cell.task.name}, {cell.way.name}, {epsilon_up(cell.epsilon)}, {cell.seed}: {value:.4f}, {took:.0f} s\n"
        )


def finished(study: Study) -> Mapping[str, Mapping[str, Any]]:
    """Return the cells that are kept, by key."""
    path = study.folder / "cells.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {row["key"]: row for row in map(json.loads, lines)}


def _records(study: Study, cell: Cell) -> list[SiteData]:
    """Generate and scrub the records of a cell's task, or take them from the cache."""
    study.folder.mkdir(parents=True, exist_ok=True)
    tree = study.config(cell.task, None, None, cell.seed).model_dump(mode="json")
    tree["data"] |= {"cache": str(study.folder / "cache"), "cache_encrypted": False}
    config = RunConfig.parse(tree, "study")
    with tempfile.TemporaryDirectory() as scratch:
        raw = read_sites(config, Path(scratch))
        if cell.task.split:
            files = sorted((Path(scratch) / "data").glob("*.jsonl"))
            (Path(scratch) / "pool.jsonl").write_bytes(b"".join(file.read_bytes() for file in files))
            tree["data"] |= {"source": "files", "root": scratch, "pool": "pool.jsonl", "split": cell.task.split}
            config = RunConfig.parse(tree, f"study, {cell.task.name}")
            raw = read_sites(config, Path(scratch))
        return scrub_sites(config, raw, Path(scratch))


def rows_of(study: Study) -> list[dict[str, Any]]:
    """Return a row for each way on each task at each epsilon, over the seeds that are finished."""
    kept, rows = finished(study), dict[tuple[str, str, float | None], list[tuple[Cell, Mapping[str, Any]]]]()
    for cell in study.cells():
        if cell.key in kept:
            rows.setdefault((cell.task.name, cell.way.name, cell.epsilon), []).append((cell, kept[cell.key]))
    return [_row(*place, found) for place, found in rows.items()]


def _row(task: str, way: str, epsilon: float | None, found: Sequence[tuple[Cell, Mapping[str, Any]]]) -> dict[str, Any]:
    config, one = found[0][0].config, found[0][1]
    hits = np.array([int(hit) for _, row in found for hit in row["hits"]], dtype=np.float64)
    return {
        "task": task,
        "way": way,
        "epsilon": epsilon,
        "exact": _is_exact(config),
        "accuracy": asdict(mean("accuracy", hits).interval(1000, 0.95, 0)),
        "seeds": len(found),
        "rounds": config.training.rounds,
        "steps": config.training.rounds * config.training.steps,
        "MB": one["bytes"] * config.training.rounds / 1e6,
        "seconds": float(np.mean([row["seconds"] for _, row in found])),
    }


def _is_exact(config: RunConfig) -> bool:
    """Return whether the mean of the adapters is the adapter of the mean, as the table of methods states it."""
    sent = config.adapter.traits.sent[-1 if config.adapter.train == "AB" else 0]
    return METHODS[config.aggregation.method].linear and sent.linear


def _bytes_of_a_round(config: RunConfig, adapter: AdapterState) -> int:
    """Return the bytes of the numbers that all sites are sent and send in a round; headers and the config come on top."""
    encoding, sent = config.aggregation.encoding, 0
    for rank in config.ranks.values():
        flat = packed(cut(adapter, rank))
        sent += ORDERS[encoding].write(flat).nbytes + REPLIES[encoding].write(flat).nbytes
    return sent


def losses(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the largest loss of each private way over the cells, in points, the smallest first."""
    best: dict[tuple[str, float], float] = {}
    private = [row for row in rows if row["epsilon"] is not None]
    for row in private:
        place = row["task"], row["epsilon"]
        best[place] = max(best.get(place, 0.0), row["accuracy"]["value"])
    found: dict[str, list[tuple[float, str]]] = {}
    for row in private:
        lost = 100 * (best[row["task"], row["epsilon"]] - row["accuracy"]["value"])
        found.setdefault(row["way"], []).append((lost, f"{row['task']}, epsilon {epsilon_up(row['epsilon'])}"))
    ranked = sorted((max(cells), len(cells), way) for way, cells in found.items())
    return [{"way": way, "largest loss": lost, "in": place, "cells": cells} for (lost, place), cells, way in ranked]


def main() -> None:
    """Train what is missing, and print the rows and the largest losses."""
    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("studies", type=Path, nargs="+", metavar="STUDY", help="a run config with a table [study]")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no other cell after this time")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one field of the config")
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    rows: list[dict[str, Any]] = []
    for study in [Study.load(file, arguments.set) for file in arguments.studies]:
        run(study, end - time.monotonic())
        rows += rows_of(study)
    if not rows:
        sys.exit("study: no cell is finished yet; give --seconds more time and run the same command again")
    print_rows(rows, arguments.json)
    if not arguments.json and any(row["epsilon"] is not None for row in rows):
        print_rows(losses(rows), as_json=False)


if __name__ == "__main__":
    run_bench(main)
