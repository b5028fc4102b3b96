"""Measure how much a model's answers depend on gender, without and with each bias mitigation.

Run: python -m bench.mitigations configs/bias.toml [--set section.key=value]. The runs differ only in the mitigation: they
use the same records, scrubbed once, and the same seed. The noise of differential privacy has no seed.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.table import parser_of, print_rows
from shared.config.run import RunConfig
from shared.errors import HushtuneError
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
    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("config", type=Path, help="the run's TOML file; its probes must include gender swaps")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one field of it")
    arguments = parser.parse_args()
    print_rows(list(rows(arguments.config, arguments.set)), arguments.json)


if __name__ == "__main__":
    try:
        main()
    except HushtuneError as error:
        sys.exit(f"mitigations: {error}")
