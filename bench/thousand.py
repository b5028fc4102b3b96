"""Measure a federation of many small simulated sites: time and memory of the main process and of its workers.

Each site trains one step on about two records of eight tokens, under a privacy plan of its own, with a ledger of its own.
The model is random and has one layer; its adapter has 25,090 numbers. So nearly all time is overhead: orders, messages,
ledgers, screening, aggregation. The records are made here and are not anonymised. With ``ray``, the sites train on a cluster
of two nodes with one processor each, which starts on this machine.

Run: python -m bench.thousand [--sites N] [--how process|workers|ray] [--rounds N]. One case a run, because memory is a peak.
"""

import random
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.architectures import WORDS, Architecture
from bench.table import parser_of, print_rows
from client.data_stage.site_data import SiteData
from privacy.accounting import Accountant
from privacy.anonymise.scrubbed import Scrubbed
from shared.config.run import RunConfig
from shared.records.types import RawRecord, Record, origin
from simulations.assembly import assemble, federate, held_out_records
from simulations.fleets.own_process import OwnProcess
from simulations.fleets.pool import Pool
from simulations.fleets.workers import WorkerPool
from simulations.planning import Plans

RECORDS = 24
MODEL = Architecture("bert", "classification", {"hidden_size": 256, "num_hidden_layers": 1})
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
CONFIG: dict[str, Any] = {
    "model": {"dtype": "float32", "device": "cpu", "max_length": 8},
    "adapter": {"rank": 32},
    "task": {"name": "classification", "labels": ["a", "b"]},
    "training": {"steps": 1, "sampling_rate": 0.1},
    "privacy": {"epsilon": 8.0, "self_check": 2},
}


def measure(sites: int, how: str, rounds: int) -> dict[str, Any]:
    """Return the row of one case.

    Parameters
    ----------
    sites
        Number of sites.
    how
        ``process``, ``workers`` (two processes) or ``ray`` (two nodes).
    rounds
        Rounds to train.
    """
    section = {"source": "sites", "sites": {"count": sites, "declared_size": RECORDS}}
    with tempfile.TemporaryDirectory() as folder, _pool(how) as pool:
        MODEL.save(Path(folder) / "model")
        model = {**CONFIG["model"], "name": str(Path(folder) / "model")}
        tree = {**CONFIG, "model": model, "data": section, "training": {**CONFIG["training"], "rounds": rounds}}
        config = RunConfig.parse(tree, "bench")
        began, accountant = time.monotonic(), Accountant()
        data = _data(config)
        test = held_out_records(config, data)
        ready = assemble(config, Plans.of(config, accountant), data, test, Path(folder), (), accountant, pool)
        set_up, before = time.monotonic() - began, time.process_time()
        done = list(federate(ready, config, "bench", lambda _: None, lambda _: {}, lambda _: None))
        spent, taken = time.process_time() - before, time.monotonic() - began - set_up
        return {
            "sites": sites,
            "how": how,
            "accepted": sum(len(each.accepted) for each in done),
            "set-up s": set_up,
            "s a round": taken / rounds,
            "main process, ms a site and round": 1000 * spent / rounds / sites,
            "main process MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "largest worker MB": max(_peaks(), default=0.0),
        }


def _data(config: RunConfig) -> list[SiteData]:
    """Make records for each site, and one held-out record for all."""
    drawn, data = random.Random(0), []  # noqa: S311  no secret
    for number, site in enumerate(config.data.sites):
        texts = [" ".join(drawn.choices(WORDS, k=5)) for _ in range(RECORDS)]
        records = [Record({"text": text}, config.task.labels[row % 2], row + 1) for row, text in enumerate(texts)]
        raw = [
            RawRecord(record.fields, record.label, record.position, origin=origin([record.fields["text"]]))
            for record in records
        ]
        data.append(SiteData(site, raw, Scrubbed(tuple(records)), Scrubbed(tuple(records[:1]) if number == 0 else ())))
    return data


@contextmanager
def _pool(how: str) -> Iterator[Pool]:
    """Start the workers."""
    if how != "ray":
        with WorkerPool(2) if how == "workers" else OwnProcess() as pool:
            yield pool
        return
    from ray.cluster_utils import Cluster  # of an extra

    from simulations.fleets.ray import RayPool

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    try:
        cluster.add_node(**NODE)
        with RayPool(cluster.address) as pool:
            yield pool
    finally:
        cluster.shutdown()


def _peaks() -> Sequence[float]:
    """Return the peak memory in MB of each process on this machine that is a worker of a pool."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, status = (folder / "cmdline").read_bytes(), (folder / "status").read_text()
        except OSError:  # it has ended
            continue
        if b"RayWorker" in command or b"spawn_main" in command:
            found.append(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
    return found


def main() -> None:
    """Print the row of one case."""
    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("--sites", type=int, default=1000, help="number of sites")
    parser.add_argument("--how", choices=["process", "workers", "ray"], default="process", help="where the sites train")
    parser.add_argument("--rounds", type=int, default=2, help="rounds to train")
    given = parser.parse_args()
    print_rows([measure(given.sites, given.how, given.rounds)], given.json)


if __name__ == "__main__":
    main()
