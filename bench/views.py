"""Measure accuracy, time and memory of a run with different views of each record, averaged before clipping.

Run: python -m bench.views CONFIG [--set section.key=value] [--runs N]. A config with paraphrases, such as
configs/paraphrases.toml, is compared with noised views and with the text only; any other config is run with 1, 4 and 8
views. Each run has its own process. All runs use the same seed and one cache of scrubbed records; the noise of privacy
differs between runs.
"""

import multiprocessing
import resource
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.table import parser_of, print_rows, run_bench
from shared.config.run import RunConfig

NOISED: Mapping[str, Sequence[str]] = {str(views): (f"augmentation.views={views}",) for views in (1, 4, 8)}
PARAPHRASED: Mapping[str, Sequence[str]] = {
    "text only": ("augmentation.paraphrases=0", "augmentation.views=1"),
    "noised": ("augmentation.paraphrases=0",),
    "paraphrased": (),
}


def measure(config: Path, overrides: Sequence[str], name: str, folder: Path) -> dict[str, Any]:
    """Return a run's metric with its interval, epsilon, seconds of training and set-up, peak memory and kept paraphrases."""
    from simulations.run import simulate

    places = (f'run.output="{folder / name}"', f'data.cache="{folder}"', "data.cache_encrypted=false", "report.html=false")
    report = simulate(RunConfig.load(config, [*overrides, *places])).report
    metric, interval = next(iter(report["final"].items()))
    counts = [site["touched"] for site in report["sites"]]
    return {
        "views": name,
        metric: interval,
        "epsilon": max(site["epsilon"] or 0.0 for site in report["sites"]),
        "train_seconds": report["stages"]["train"],
        "set_up_seconds": sum(
            seconds for stage, seconds in report["stages"].items() if stage in ("anonymise", "paraphrase")
        ),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "kept": sum(touched.get("augmentation.paraphrases", 0) for touched in counts),
    }


def main() -> None:
    """Run each kind of views and print the rows."""
    parser = parser_of(__doc__, config=True, as_json=True)
    parser.add_argument("--runs", type=int, default=1, help="runs of each kind")
    arguments = parser.parse_args()
    paraphrases = RunConfig.load(arguments.config, arguments.set).augmentation.paraphrases
    kinds = PARAPHRASED if paraphrases else NOISED
    jobs = [(name, [*arguments.set, *changes]) for name, changes in kinds.items() for _ in range(arguments.runs)]
    context = multiprocessing.get_context("spawn")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, overrides in jobs:
            with context.Pool(1) as pool:
                rows.append(pool.apply(measure, (arguments.config, overrides, name, Path(folder))))
    print_rows(rows, arguments.json, width=140)


if __name__ == "__main__":
    run_bench(main)
