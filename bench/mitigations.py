"""Measure how much a model's answers depend on gender, without and with each bias mitigation.

Run: python -m bench.mitigations configs/bias.toml [--set section.key=value]. The probes of the config must include gender
swaps. The runs differ only in the mitigation: they use the same records, scrubbed once, and the same seed. The noise of
differential privacy has no seed.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.table import parser_of, print_rows, run_bench
from shared.config.run import RunConfig
from simulations.run import simulate

MITIGATIONS: Mapping[str, Sequence[str]] = {
    "none": ("augmentation.swaps=[]",),
    "swapped views": ('augmentation.swaps=["gender"]',),
    "adversary": (
        "augmentation.swaps=[]",
        'adversary.column="sender"',
        'adversary.groups=["woman", "man"]',
    ),
}


def rows(config: Path, overrides: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Run once with each mitigation and yield its accuracy, its flips under gender swaps, and its gap between groups."""
    with tempfile.TemporaryDirectory() as folder:
        places = (f'run.output="{folder}"', f'data.cache="{folder}/cache"', "data.cache_encrypted=false")
        for name, changes in MITIGATIONS.items():
            run = RunConfig.load(config, [*overrides, *changes, *places, "report.html=false", 'report.tracking="none"'])
            yield row(name, simulate(run).report)


def row(name: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """Select one run's figures from its report, each with its interval."""
    swap = next(swap for swap in report["probes"]["swaps"] if swap["swap"] == "gender")
    groups = report["probes"]["groups"]
    return {
        "mitigation": name,
        "epsilon": max((site["epsilon"] or 0.0) for site in report["sites"]),
        "accuracy": report["final"]["accuracy"],
        "flips": swap["flips"],
        "flips of": swap["records"],
        "accuracy, swapped": swap["effect"]["value"],
        "gap of groups": groups and groups["gaps"]["accuracy"],
        "seconds": report["seconds"],
    }


def main() -> None:
    """Run with each mitigation and print the rows."""
    arguments = parser_of(__doc__, config=True, as_json=True).parse_args()
    print_rows(list(rows(arguments.config, arguments.set)), arguments.json)


if __name__ == "__main__":
    run_bench(main)
