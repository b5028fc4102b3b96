"""Train every way of a study on every task, epsilon and seed, and print accuracies and the largest loss of each way.

Run: python -m bench.study bench/rates.toml [--seconds 400] [--set section.key=value]. A study is a run config with a table
[study]; several studies give one table. Finished cells are kept, so a study that was stopped, or that `--seconds` ended,
goes on where it was. The loss of a way in a cell is how far its accuracy lies below that of the best way in the cell; only
defaults are chosen by it.
"""

import argparse
import hashlib
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, ValidationError

from bench.table import print_rows
from client.data_stage.site_data import SiteData
from privacy.accounting import Accountant
from shared.adapters.ranks import cut
from shared.adapters.state import AdapterState
from shared.config.aggregation import METHODS
from shared.config.explain import first_line
from shared.config.run import RunConfig
from shared.config.section import Section
from shared.config.toml import apply_override, read_toml
from shared.errors import ConfigError, HushtuneError
from shared.metrics.bootstrap import mean
from shared.ops.numbers import epsilon_up
from shared.wire.encodings import ORDERS, REPLIES
from shared.wire.packed_arrays import packed
from simulations.data.message_grammar import NEED_LABELS
from simulations.planning import site_plans
from simulations.sites import read_sites, scrub_sites
from simulations.studies.bare_rounds import BareFederation

FORMAT = 3  # of kept cells; increase it to train them again


class TaskSection(Section):
    """One set of records: settings of the run, number and size of the sites, and the number of intents."""

    name: str
    sites: int = Field(0, ge=0, le=100, description="generated sites; 0: the sites of the run (data.sites)")
    records: int = Field(1, ge=1, description="records that are generated for each site")
    declared_size: int = Field(1, ge=1)
    epsilons: tuple[float, ...] = Field((), description="epsilons of this task; empty: those of the study")
    intents: int = Field(0, ge=0, le=len(NEED_LABELS))
    split: str = Field("", description="how all records together are dealt out (data.split); empty: as they were generated")
    settings: dict[str, Any] = Field(default_factory=dict)


class WaySection(Section):
    """One way of training: settings of the run; a way without ``private`` is trained once, for all epsilons."""

    name: str
    private: bool = True
    also_without: bool = Field(False, description="whether a private way is trained once without privacy too")
    ranks: tuple[int, ...] = Field((), description="ranks of the sites, in turn; empty: that of the run")
    settings: dict[str, Any] = Field(default_factory=dict)


class StudySection(Section):
    """What a study trains: each way, on each task, at each epsilon, with each seed."""

    epsilons: tuple[float, ...] = Field(min_length=1)
    seeds: int = Field(1, ge=1)
    tasks: tuple[TaskSection, ...] = Field(min_length=1)
    ways: tuple[WaySection, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Cell:
    """One training of a study."""

    task: TaskSection
    way: WaySection
    epsilon: float | None
    seed: int
    config: RunConfig

    @property
    def key(self) -> str:
        """Return the digest of everything that the cell depends on."""
        return hashlib.sha256(f"{FORMAT}:{self.task.split}:{self.config.digest()}".encode()).hexdigest()


@dataclass(frozen=True)
class Study:
    """A study: the tree of its base config, its section, and the folder with finished cells."""

    tree: Mapping[str, Any]
    section: StudySection
    folder: Path

    @classmethod
    def load(cls, file: Path, overrides: Sequence[str] = ()) -> Self:
        """Read a study from a TOML file.

        Raises
        ------
        ConfigError
            The file or a field of it cannot be used.
        """
        tree = read_toml(file)
        for override in overrides:
            apply_override(tree, override, file)
        try:
            section = StudySection.model_validate(tree.pop("study", {}))
        except ValidationError as error:
            raise ConfigError(f"{file}: study: {first_line(StudySection, error)}") from error
        run = tree.get("run", {})
        return cls(tree, section, Path(run.get("output", "runs")) / run.get("name", "study"))

    def cells(self) -> Iterator[Cell]:
        """Yield every cell; those that share records follow each other."""
        for seed in range(self.section.seeds):
            for task in self.section.tasks:
                for epsilon in (None, *(task.epsilons or self.section.epsilons)):
                    for way in (way for way in self.section.ways if _is_trained(way, epsilon)):
                        yield Cell(task, way, epsilon, seed, self.config(task, way, epsilon, seed))

    def config(self, task: TaskSection, way: WaySection | None, epsilon: float | None, seed: int) -> RunConfig:
        """Return the run of a cell; without a way, the run that only reads the records."""
        ranks = itertools.cycle(way.ranks if way and way.ranks else (0,))
        size = {"records": task.records, "declared_size": task.declared_size}
        generated = [{"id": f"site-{number}", **size} for number in range(1, task.sites + 1)]
        sites = [site | {"rank": rank} for site, rank in zip(generated or self.tree["data"]["sites"], ranks, strict=False)]
        labels = {"task.labels": list(NEED_LABELS)[: task.intents]} if task.intents else {}
        given = {"data.sites": sites, **labels, **task.settings, **(way.settings if way else {})}
        given |= {"privacy.enabled": False} if epsilon is None else {"privacy.epsilon": epsilon}
        tree: dict[str, Any] = json.loads(json.dumps(self.tree))
        tree.setdefault("run", {})["seed"] = tree["run"].get("seed", 0) + seed
        for dotted, value in given.items():
            section, field = dotted.split(".")
            tree.setdefault(section, {})[field] = value
        return RunConfig.parse(tree, f"study, {task.name}, {way.name if way else 'records'}")

    def run(self, seconds: float) -> None:
        """Train the cells that are missing, until all are there or the time is used up."""
        end, accountant, kept = time.monotonic() + seconds, Accountant(), self.finished()
        shared: tuple[str, BareFederation] | None = None
        for cell in self.cells():
            if cell.key in kept or time.monotonic() > end:
                continue
            ranks, adapter = sorted(cell.config.ranks.items()), cell.config.adapter.model_dump(mode="json")
            place = json.dumps([cell.task.name, cell.seed, adapter, ranks])
            if shared is None or shared[0] != place:
                shared = None  # before the next one takes memory
                shared = place, BareFederation.of(cell.config, self._records(cell))
            began = time.monotonic()
            outcome = shared[1].outcome(cell.config, site_plans(cell.config, accountant))
            took, hits = time.monotonic() - began, (1 - outcome.damage()).astype(int).tolist()
            sent = _bytes_of_a_round(cell.config, shared[1].start)
            row = {"key": cell.key, "hits": "".join(map(str, hits)), "seconds": took, "bytes": sent}
            with (self.folder / "cells.jsonl").open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row) + "\n")
            value = float(np.mean(hits))
            sys.stderr.write(
                f"{cell.task.name}, {cell.way.name}, {epsilon_up(cell.epsilon)}, {cell.seed}: {value:.4f}, {took:.0f} s\n"
            )

    def finished(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the cells that are kept, by key."""
        path = self.folder / "cells.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return {row["key"]: row for row in map(json.loads, lines)}

    def _records(self, cell: Cell) -> list[SiteData]:
        """Generate and scrub the records of a cell's task, or take them from the cache."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tree = self.config(cell.task, None, None, cell.seed).model_dump(mode="json")
        tree["data"] |= {"cache": str(self.folder / "cache"), "cache_encrypted": False}
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

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each way on each task at each epsilon, over the seeds that are finished."""
        kept, rows = self.finished(), dict[tuple[str, str, float | None], list[tuple[Cell, Mapping[str, Any]]]]()
        for cell in self.cells():
            if cell.key in kept:
                rows.setdefault((cell.task.name, cell.way.name, cell.epsilon), []).append((cell, kept[cell.key]))
        return [self._row(*place, found) for place, found in rows.items()]

    def _row(
        self, task: str, way: str, epsilon: float | None, found: Sequence[tuple[Cell, Mapping[str, Any]]]
    ) -> dict[str, Any]:
        config, one = found[0][0].config, found[0][1]
        hits = np.array([int(hit) for _, row in found for hit in row["hits"]], dtype=np.float64)
        interval = mean("accuracy", hits).interval(1000, 0.95, 0)
        return {
            "task": task,
            "way": way,
            "epsilon": epsilon,
            "exact": _is_exact(config),
            "accuracy": {"value": interval.value, "low": interval.low, "high": interval.high},
            "seeds": len(found),
            "rounds": config.training.rounds,
            "steps": config.training.rounds * config.training.steps,
            "MB": one["bytes"] * config.training.rounds / 1e6,
            "seconds": float(np.mean([row["seconds"] for _, row in found])),
        }


def _is_trained(way: WaySection, epsilon: float | None) -> bool:
    """Return whether a way is trained at an epsilon, or without privacy for None."""
    return way.private if epsilon is not None else way.also_without or not way.private


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
    """Return the largest loss of each private way over the cells, in points, the smallest first.

    Parameters
    ----------
    rows
        Rows of `Study.rows`.
    """
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
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("studies", type=Path, nargs="+", metavar="STUDY", help="a run config with a table [study]")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no other cell after this time")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one field of the config")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    rows: list[dict[str, Any]] = []
    for study in [Study.load(file, arguments.set) for file in arguments.studies]:
        study.run(end - time.monotonic())
        rows += study.rows()
    if not rows:
        sys.exit("study: no cell is finished yet; give --seconds more time and run the same command again")
    print_rows(rows, arguments.json)
    if not arguments.json and any(row["epsilon"] is not None for row in rows):
        print_rows(losses(rows), as_json=False)


if __name__ == "__main__":
    try:
        main()
    except HushtuneError as error:
        sys.exit(f"study: {error}")
