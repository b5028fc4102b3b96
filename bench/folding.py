"""Measure memory and time of aggregating the replies of 4, 16 and 64 sites, streamed or collected first.

Run: python -m bench.folding. Most servers collect all replies first. Each case runs in its own process; the memory is the
peak above the process's memory before the first reply.
"""

import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.table import parser_of
from server.aggregation import Setting
from server.round_replies import Tally
from server.screening import Answer
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.wire.chain_head import ChainHead
from shared.wire.messages import TrainOrder, TrainReply

SITES = (4, 16, 64)
TENSORS, ROWS, COLUMNS = 10, 256, 1024  # float32: 10.5 MB
WAYS = ("streamed", "collected")


def main() -> None:
    """Print one JSON line per case."""
    parser_of(__doc__).parse_args()
    context = multiprocessing.get_context("spawn")
    for sites in SITES:
        for way in WAYS:
            with context.Pool(1) as pool:
                peak, seconds = pool.apply(measure, (sites, way))
            row = {
                "sites": sites,
                "way": way,
                "peak_mb": round(peak / 1e6, 1),
                "seconds_per_reply": round(seconds / sites, 4),
            }
            sys.stdout.write(json.dumps(row) + "\n")


def measure(sites: int, way: str) -> tuple[float, float]:
    """Return the peak memory above the start in bytes, and the seconds for all replies, without generating them."""
    named = [{"id": f"s{number}", "file": "x.csv", "declared_size": 100} for number in range(sites)]
    config = RunConfig.parse({"task": {"labels": ["a", "b"]}, "data": {"sites": named}}, "bench")
    shape = AdapterState({f"t{number}": np.zeros((ROWS, COLUMNS), np.float32) for number in range(TENSORS)})
    order = TrainOrder("bench", 1, "nonce", config, shape, sites, "0.0.0")
    orders = {site.id: order for site in config.data.sites}
    setting = Setting(shape, dict.fromkeys(orders, 1.0), config.aggregation)
    spent = Tally(orders, setting)
    spent.take(next(_answers(order, ["s0"])))  # warm-up, for memory that is allocated only once
    tally = Tally(orders, setting)
    before, seconds = _resident(), 0.0
    kept = list(_answers(order, list(orders))) if way == "collected" else _answers(order, list(orders))
    for answer in kept:
        started = time.perf_counter()
        tally.take(answer)
        seconds += time.perf_counter() - started
    tally.result()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0 - before, seconds


def _answers(order: TrainOrder, sites: list[str]) -> Iterator[Answer]:
    """Yield the replies of the sites, generating each one on demand, as they would arrive over the network."""
    random = np.random.default_rng(0)
    for site in sites:
        delta = AdapterState(
            {name: random.normal(0, 1e-3, array.shape).astype(np.float32) for name, array in order.adapter.arrays.items()}
        )
        content = TrainReply(order.run_id, order.round, order.nonce, site, delta, ChainHead(2, "h")).to_record()
        yield Answer(site, content, None, 0, 0)


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * float(resource.getpagesize())


if __name__ == "__main__":
    main()
