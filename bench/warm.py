"""Measure what a start from an adapter trained on public text gains at small sites (`model.warm_start`).

Run: python -m bench.warm bench/warm.toml FOLDER [--seeds 3]. FOLDER has amazon.jsonl, movies.jsonl and tweets.jsonl with the
fields text and score. The product reviews are the public text, which trains an adapter without privacy. Two sites of films
and one of tweets, which the config names with their sizes, are drawn from the other two files, and so are the records that
are measured. Each row is trained by the same settings, from the untrained adapter and from the public one.
"""

import copy
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.table import parser_of, print_rows, run_bench
from privacy.accounting import Accountant
from shared.adapters.peft import read_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.config.toml import read_toml
from shared.errors import DataError
from shared.metrics.bootstrap import mean
from shared.tasks.outcome import Outcome
from simulations.planning import site_plans
from simulations.reading import read_sites
from simulations.sites import scrub_sites
from simulations.studies.bare_rounds import BareFederation

FILES = {"films-1": "movies", "films-2": "movies", "tweets": "tweets"}  # the file of each site of the config
PUBLIC = "amazon"
EPSILONS = (None, 8.0, 1.0)
CLEAR = 0.5  # a score nearer to 0 has no label
MEASURED = 750  # records of films, and as many tweets


@dataclass(frozen=True)
class Dealt:
    """The files of one seed: the sites' records, the public ones and the measured ones, in one folder."""

    folder: Path
    tree: Mapping[str, Any] = field(repr=False)

    def config(self, public: bool, epsilon: float | None) -> RunConfig:
        """Return the run of the public text or of the sites, with an epsilon or without privacy."""
        sites = [each | {"file": f"{each['id']}.jsonl"} for each in self.tree["data"]["sites"]]
        tree = copy.deepcopy(dict(self.tree))
        if public:
            lines = len((self.folder / f"{PUBLIC}.jsonl").read_text(encoding="utf-8").splitlines())
            sites = [{"id": PUBLIC, "file": f"{PUBLIC}.jsonl", "declared_size": lines}]
            tree |= {"aggregation": {}, "cohort": {"quorum": 1}}
        tree["data"] |= {"root": str(self.folder), "sites": sites}
        tree["evaluation"] = tree.get("evaluation", {}) | {"file": str(self.folder / "measured.jsonl")}
        tree["privacy"] |= {"enabled": False} if epsilon is None else {"epsilon": epsilon}
        return RunConfig.parse(tree, "bench.warm")


def dealt(tree: Mapping[str, Any], source: Path, seed: int, folder: Path) -> Dealt:
    """Deal the records of two files to small sites and to the measured records, at random by the seed.

    Raises
    ------
    DataError
        A file is missing, or is none of scored texts.
    """
    rows = {name: _clear(source / f"{name}.jsonl") for name in (PUBLIC, *FILES.values())}
    order = np.random.default_rng(seed)
    for name in sorted(set(FILES.values())):
        rows[name] = [rows[name][i] for i in order.permutation(len(rows[name]))]
    for site in tree["data"]["sites"]:
        name = FILES[site["id"]]
        _write(folder / f"{site['id']}.jsonl", rows[name][: site["declared_size"]])
        rows[name] = rows[name][site["declared_size"] :]
    _write(folder / f"{PUBLIC}.jsonl", rows[PUBLIC])
    _write(folder / "measured.jsonl", [row for name in sorted(set(FILES.values())) for row in rows[name][:MEASURED]])
    return Dealt(folder, {**tree, "run": {**tree["run"], "seed": seed}})


def _clear(path: Path) -> list[dict[str, Any]]:
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [row for row in rows if abs(row["score"]) >= CLEAR]
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{path}: is no file of scored texts; give the folder with amazon, movies and tweets") from None


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def outcomes(deal: Dealt) -> Iterator[tuple[str, float | None, Outcome]]:
    """Yield the start, the epsilon and the outcome of each training of a seed; first the public adapter alone."""
    accountant = Accountant()
    alone = _federation(deal.config(public=True, epsilon=None))
    public = deal.config(public=True, epsilon=None)
    yield "public adapter alone", None, alone.outcome(public, site_plans(public, accountant))
    warm: AdapterState = read_adapter(alone.learner.model)
    del alone
    cold = _federation(deal.config(public=False, epsilon=None))
    for epsilon in EPSILONS:
        config = deal.config(public=False, epsilon=epsilon)
        for name, start in (("untrained", cold.start), ("public adapter", warm)):
            yield name, epsilon, replace(cold, start=start).outcome(config, site_plans(config, accountant))


def _federation(config: RunConfig) -> BareFederation:
    with tempfile.TemporaryDirectory() as scratch:
        return BareFederation.of(config, scrub_sites(config, read_sites(config, Path(scratch)), Path(scratch)))


def rows_of(tree: Mapping[str, Any], source: Path, seeds: int) -> list[dict[str, Any]]:
    """Return a row for each start and epsilon, with the accuracy over all seeds."""
    found: dict[tuple[str, float | None], list[list[float]]] = {}
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            for start, epsilon, outcome in outcomes(dealt(tree, source, seed, Path(folder))):
                found.setdefault((start, epsilon), []).append((1 - outcome.damage()).tolist())
    return [_row(start, epsilon, hits) for (start, epsilon), hits in found.items()]


def _row(start: str, epsilon: float | None, hits: Sequence[Sequence[float]]) -> dict[str, Any]:
    right = np.array([hit for each in hits for hit in each])
    return {
        "start": start,
        "epsilon": epsilon,
        "accuracy": asdict(mean("accuracy", right).interval(1000, 0.95, 0)),
        "by seed": " ".join(f"{np.mean(each):.3f}" for each in hits),
    }


def main() -> None:
    """Train all rows and print them."""
    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("config", type=Path, help="the run's TOML file")
    parser.add_argument("folder", type=Path, help="the folder with the three files")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each row")
    arguments = parser.parse_args()
    print_rows(rows_of(read_toml(arguments.config), arguments.folder, arguments.seeds), arguments.json)


if __name__ == "__main__":
    run_bench(main)
