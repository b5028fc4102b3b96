"""Accuracy by Poisson sampling with independent noise, and by batches in turn with banded noise, at one epsilon each.

Run: python -m simulations.bench_sampling CONFIG [SECTION.KEY=VALUE ...], where training.steps is a whole number of passes
of 1 / training.sampling_rate steps. The records are scrubbed once; both ways have the same steps, batches and rates, and
the noise that each one's accounting asks for. Under privacy a seed fixes A and what is held out, so each run is a draw.
"""

import itertools
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from privacy.accounting import Accountant
from privacy.dp.sampling import Sampling
from shared.config import RunConfig
from shared.errors import HushtuneError
from shared.numbers import epsilon_up
from simulations.display import Bars
from simulations.progress import Progress
from simulations.search import trial_config
from simulations.sites import SiteData, read_sites, scrub_sites
from simulations.utility import EPSILONS, measured

DRAWS = 3
WAYS: tuple[Sampling, ...] = ("poisson", "cyclic")
Scores = defaultdict[tuple[float, Sampling], list[float]]


def scores(config: RunConfig, progress: Progress) -> tuple[str, Scores]:
    """The name of the chief measure, and it after each run, by epsilon and way of sampling.

    Raises:
        HushtuneError: bad data, or steps that are no whole number of passes.
    """
    with tempfile.TemporaryDirectory() as scratch:
        data = scrub_sites(config, read_sites(config, Path(scratch)), Path(scratch), progress)
        runs = list(itertools.product(range(DRAWS), EPSILONS, WAYS))
        progress.stage("runs", len(runs))
        found, names = Scores(list), set[str]()
        for name, epsilon, way, score in _runs(config, data, runs, Path(scratch)):
            names.add(name)
            found[epsilon, way].append(score)
            progress.advance(1)
    return names.pop(), found


def _runs(
    config: RunConfig, data: Sequence[SiteData], runs: Sequence[tuple[int, float, Sampling]], folder: Path
) -> Iterator[tuple[str, float, Sampling, float]]:
    accountant = Accountant()
    for number, (_, epsilon, way) in enumerate(runs):
        settings = {"privacy.enabled": True, "privacy.epsilon": epsilon, "training.sampling": way}
        name, result = measured(trial_config(config, settings), data, folder / str(number), accountant)
        yield name, epsilon, way, result.value


def main(file: str, *overrides: str) -> None:
    """Run both ways and print them; a failure is one line and an exit status of 1."""
    try:
        with Bars() as bars:
            measure, found = scores(RunConfig.load(Path(file), overrides), bars)
    except (HushtuneError, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", markup=False, highlight=False)
        sys.exit(1)
    table = Table("epsilon", *WAYS, "cyclic less poisson", title=f"{measure}: mean of {DRAWS} runs, and each")
    for epsilon in EPSILONS:
        one, other = (found[epsilon, way] for way in WAYS)
        told = (f"{np.mean(each):.4f}  ({', '.join(f'{score:.4f}' for score in each)})" for each in (one, other))
        table.add_row(epsilon_up(epsilon), *told, f"{np.mean(other) - np.mean(one):+.4f}")
    Console(width=125).print(table)


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["configs/utility.toml", "training.steps=10"]))
