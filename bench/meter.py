"""Count how often the meter passes an honest engine and flags a faulty one, at claims of epsilon 1, 3 and 8.

Run: python -m bench.meter [--repeats 20] [--honest 67] [--claim 3] [--json]. Each fault is put into the product's own code
for the time of one reading: the drawn noise, the factors of clipping, or the sampler.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from bench.table import parser_of, print_rows
from privacy.audit import rig
from privacy.audit.meter import Reading, meter
from privacy.dp import mechanism
from privacy.dp.clipping import FlatClipping
from privacy.dp.mechanism import Mechanism
from privacy.dp.noise import rounded_gaussian
from privacy.dp.plan import PrivacyPlan
from privacy.dp.sampling import poisson_batches

CLAIMS: Mapping[int, float] = {1: 2.744, 3: 1.29, 8: 0.765}  # noise multiplier of each epsilon, with the next line's numbers
RATE, STEPS, RECORDS, DELTA = 0.13, 40, 2422, 1.9e-4
SIZES = (3072,) * 4 + (2304, 6)  # four adapted layers and a head


def plan_of(noise_multiplier: float, clipping_norm: float = 1.0) -> PrivacyPlan:
    """Return the plan of a claim."""
    return PrivacyPlan(RATE, noise_multiplier, clipping_norm, STEPS, 1, DELTA, RECORDS)


def _noise_drawn(draw: Callable[..., torch.Tensor]) -> AbstractContextManager[Any]:
    return patch.object(mechanism, "rounded_gaussian", draw)


def less_noise(share: float) -> AbstractContextManager[Any]:
    """Draw every noise at a share of its standard deviation inside the block."""
    return _noise_drawn(lambda count, std, device: rounded_gaussian(count, share * std, device))


def _repeated_noise() -> AbstractContextManager[Any]:
    """Draw the noise of each restart from one seedable generator, as a library's default does."""
    return _noise_drawn(lambda count, std, device: (torch.randn(count, dtype=torch.float64) * std).floor().long())


def _float32_noise() -> AbstractContextManager[Any]:
    def noised(self: Mechanism, sums: torch.Tensor) -> torch.Tensor:
        seed = secrets.randbits(62)  # only the precision of the noise is at fault
        generator = torch.Generator().manual_seed(seed)
        return sums + torch.randn(len(sums), generator=generator) * self.std  # float32 noise on a float64 sum

    return patch.object(Mechanism, "noised", noised)


def _factors(scaled: Callable[[torch.Tensor], torch.Tensor]) -> AbstractContextManager[Any]:
    original = FlatClipping.factors
    return patch.object(FlatClipping, "factors", lambda self, norms, whole: scaled(original(self, norms, whole)))


def _sampler(draw: Callable[..., Iterator[Any]]) -> AbstractContextManager[Any]:
    return patch.object(rig, "poisson_batches", draw)


def _more_often(factor: float) -> AbstractContextManager[Any]:
    return _sampler(lambda records, rate, steps, draw: poisson_batches(records, factor * rate, steps, draw))


def _shuffled(records: int, rate: float, steps: int, draw: object) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
    """Yield the parts of one permutation after another, all of one size."""
    size, order = round(rate * records), np.random.default_rng()
    epoch = order.permutation(records)
    for _ in range(steps):
        if len(epoch) < size:
            epoch = order.permutation(records)
        yield np.sort(epoch[:size])
        epoch = epoch[size:]


FAULTS: Mapping[str, Callable[[], AbstractContextManager[Any]]] = {
    "noise x 0.9": lambda: less_noise(0.9),
    "clip off": lambda: _factors(torch.ones_like),
    "bound x 1.2": lambda: _factors(lambda factors: 1.2 * factors),
    "q x 1.3": lambda: _more_often(1.3),
    "shuffle": lambda: _sampler(_shuffled),
    "repeated noise": _repeated_noise,
    "float32 noise": _float32_noise,
}


def reading(claim: int, fault: str | None) -> Reading:
    """Read the meter once at a claim, with a fault in the engine or without one."""
    with FAULTS[fault]() if fault else nullcontext():
        return meter(plan_of(CLAIMS[claim]), SIZES)


def rows(claims: Iterable[int], repeats: int, honest: int) -> Iterator[dict[str, Any]]:
    """Yield for each claim and each engine how many readings were flagged, and what flagged them."""
    for claim in claims:
        for name, times in ((None, honest), *((fault, repeats) for fault in FAULTS)):
            clock, flagged, by = time.monotonic(), 0, set[str]()
            if not times:
                continue
            for _ in range(times):
                found = reading(claim, name)
                flagged += found.failed is not None
                by |= {check.name.partition(":")[0] for check in found.checks if not check.passed}
            yield {
                "claim": claim,
                "engine": name or "honest",
                "readings": times,
                "flagged": flagged,
                "seconds each": (time.monotonic() - clock) / times,
                "flagged by": ", ".join(sorted(by)),
            }


def main() -> None:
    """Read the meter often and print the counts."""
    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("--repeats", type=int, default=20, help="readings of each faulty engine at each claim")
    parser.add_argument("--honest", type=int, default=67, help="readings of the honest engine at each claim")
    parser.add_argument("--claim", type=int, choices=CLAIMS, action="append", help="only this claim; give it again for more")
    arguments = parser.parse_args()
    print_rows(list(rows(arguments.claim or CLAIMS, arguments.repeats, arguments.honest)), arguments.json)


if __name__ == "__main__":
    main()
