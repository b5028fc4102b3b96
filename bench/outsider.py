"""Attack adapters as `hushtune audit adapter` does, with other texts and trainings for each seed, and print the means.

Run: python -m bench.outsider bench/outsider.toml [--seeds 3] [--canaries 200] [--references 2] [--fills 32] [--json]. The
results of each adapter are kept, so a bench that was stopped resumes with the next adapter. One draw of 200 texts leaves an
area under the curve uncertain by .04 either way; the mean over k draws, by that divided by the square root of k.
"""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.table import parser_of, print_rows, run_bench
from privacy.audit.membership import clopper_pearson
from shared.config.run import RunConfig
from shared.ops.findings import read_findings
from simulations.audits.adapter import NAME, audit_adapter
from simulations.display.audits import cell_name
from simulations.display.bars import Bars


def found_with(config: RunConfig, asked: Mapping[str, int]) -> Mapping[str, Any]:
    """Return what the attacks find in the adapters of a run, or what they found earlier."""
    earlier: Mapping[str, Any] = read_findings(config.run.output / config.run.name).get(NAME, {})
    wanted = {"config_digest": config.digest(), **asked}
    if "strong_enough" in earlier and all(earlier.get(name) == value for name, value in wanted.items()):
        return earlier
    with Bars() as bars:
        return audit_adapter(config, asked["canaries"], asked["fills"], asked["references"], bars)


def membership_rows(found: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield for each adapter, number of copies and attack the mean area, and what is found at 1 % false alarms by all draws.

    Parameters
    ----------
    found
        What `audit_adapter` returned for each seed.
    """
    for cells in zip(*(each["cells"] for each in found), strict=True):
        for rows in zip(*(cell["membership"] for cell in cells), strict=True):
            first, rates = rows[0], [row["rates"][-1] for row in rows]
            texts = sum(row["present"] for row in rows)
            called = sum(round(rate["true_positive_rate"] * row["present"]) for rate, row in zip(rates, rows, strict=True))
            area = sum(row["auc"] for row in rows) / len(rows)
            error = math.hypot(*((row["auc_high"] - row["auc_low"]) / 2 for row in rows)) / len(rows)
            low, high = clopper_pearson(called, texts)
            yield {
                "adapter": cell_name(cells[0]),
                "trained on": f"{first['copies']} x",
                "attack": first["attack"],
                "area": {"value": area, "low": area - error, "high": area + error},
                f"found at {100 * rates[0]['false_positive_rate']:g} %": {"value": called / texts, "low": low, "high": high},
                "areas": " ".join(f"{row['auc']:.3f}" for row in rows),
            }


def extraction_rows(found: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield for each adapter, place and number of copies the mean exposure of planted numbers, and its standard error.

    Parameters
    ----------
    found
        What `audit_adapter` returned for each seed.
    """
    for cells in zip(*(each["cells"] for each in found), strict=True):
        for rows in zip(*(cell["extraction"] for cell in cells), strict=True):
            yield {
                "adapter": cell_name(cells[0]),
                "planted at": rows[0]["where"],
                "trained on": f"{rows[0]['copies']} x",
                "exposure, bits": sum(row["mean"] for row in rows) / len(rows),
                "standard error": math.hypot(*(row["error"] for row in rows)) / len(rows),
            }


def main() -> None:
    """Attack the adapters of each seed, and print both tables."""
    parser = parser_of(__doc__, config=True)
    parser.add_argument("--seeds", type=int, default=3, help="draws of the planted texts, from the seed of the config on")
    parser.add_argument("--canaries", type=int, default=200, help="planted texts that are trained on once")
    parser.add_argument("--references", type=int, default=2, help="adapters that the attacker trains to compare with")
    parser.add_argument("--fills", type=int, default=32, help="secrets among which a planted one is ranked")
    parser.add_argument("--json", action="store_true", help="print what was found with each seed as JSON")
    arguments = parser.parse_args()
    base = RunConfig.load(arguments.config, arguments.set)
    asked = {"canaries": arguments.canaries, "references": arguments.references, "fills": arguments.fills}
    found = []
    for seed in range(base.run.seed, base.run.seed + arguments.seeds):
        own = [*arguments.set, f"run.seed={seed}", f"run.name={base.run.name}-{seed}"]
        found.append(found_with(RunConfig.load(arguments.config, own), asked))
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    print_rows(list(membership_rows(found)), as_json=False)
    print_rows(list(extraction_rows(found)), as_json=False)


if __name__ == "__main__":
    run_bench(main)
