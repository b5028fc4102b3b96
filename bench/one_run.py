"""Count how often the one-run bound stays below an honest claim, and how often it refutes a faulty engine's claim.

Run: python -m bench.one_run [--repeats 20] [--canaries 1000] [--claim 3] [--json]. The canaries train alone: records beside
them could only make the scores noisier.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from bench.meter import CLAIMS, DELTA, FAULTS, STEPS, less_noise, plan_of
from bench.table import parser_of, print_rows
from privacy.audit.canaries import Canaries, planted
from privacy.audit.one_run import LowerBound, lower_bound
from privacy.dp import mechanism

WIDTH = 250  # numbers of each tensor


def _no_noise() -> AbstractContextManager[Any]:
    return patch.object(
        mechanism, "rounded_gaussian", lambda count, std, device: torch.zeros(count, dtype=torch.int64, device=device)
    )


ENGINES: Mapping[str, Callable[[], AbstractContextManager[Any]]] = {
    "honest": nullcontext,
    "noise / 2": partial(less_noise, 0.5),
    "noise / 4": partial(less_noise, 0.25),
    "no noise": _no_noise,
    "clip off": FAULTS["clip off"],
}


def audited(claim: int, engine: str, count: int) -> LowerBound:
    """Train canaries once with an engine, and return the bound."""
    plan, model = plan_of(CLAIMS[claim]), nn.ModuleList(nn.Linear(WIDTH, 1, bias=False) for _ in range(-(-count // WIDTH)))
    canaries = Canaries.drawn(count, sum(parameter.numel() for parameter in model.parameters()))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with ENGINES[engine](), planted(canaries, model, optimizer, plan, plan.expected_batch) as (_, step):
        for _ in range(STEPS):
            step.finish()
    return lower_bound(canaries.included, canaries.scores, DELTA)


def rows(claims: Iterable[int], repeats: int, count: int) -> Iterator[dict[str, Any]]:
    """Yield for each claim and engine how often the bound is above the claim, and its median."""
    for claim in claims:
        for engine in ENGINES:
            clock = time.monotonic()
            found = [audited(claim, engine, count) for _ in range(repeats)]
            yield {
                "claim": claim,
                "engine": engine,
                "runs": repeats,
                "above the claim": sum(bound.gaussian > claim for bound in found),
                "median bound": float(np.median([bound.gaussian for bound in found])),
                "above it by the general bound": sum(bound.general > claim for bound in found),
                "seconds each": (time.monotonic() - clock) / repeats,
            }


def main() -> None:
    """Audit often and print the counts."""
    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("--repeats", type=int, default=20, help="audited runs of each engine at each claim")
    parser.add_argument("--canaries", type=int, default=1000, help="canaries of each run")
    parser.add_argument("--claim", type=int, choices=CLAIMS, action="append", help="only this claim; give it again for more")
    arguments = parser.parse_args()
    print_rows(list(rows(arguments.claim or CLAIMS, arguments.repeats, arguments.canaries)), arguments.json)


if __name__ == "__main__":
    main()
