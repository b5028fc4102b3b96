"""Measure a server under load: many sites with trivial training, as coroutines of one process, over TLS on loopback.

The server is the production one: its public port, its fleet and its round loop. A site of this bench signs its requests and
takes and sends each part of a message as the real client does, but it holds no model. All numbers of its delta equal one
number, which only this site has, so the change of the adapter shows whether a reply was lost or counted twice. The seconds
of a round are those of the server and the transport, and include the signatures and the TLS of the sites themselves.

With faults, a site that gets an order stays silent, ends its connection and comes back, or replies with NaN. Replies that do
not count must be as many as the silent sites and the replies of NaN: if they are more, replies of honest sites were lost.

Memory is that of the server's process, from the system; live blocks are those that Python's objects occupy. If only memory
grows, the allocator keeps freed pieces; if both grow, objects are kept.

Run with: python -m bench.load [--sites N ...] [--rounds N] [--faults SHARE] [--deadline SECONDS]
"""

import multiprocessing
import os
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.table import parser_of, print_rows
from bench.toy_sites import play_sites, values_of
from server.fleet import GridFleet
from server.network.allowlist import AllowList
from server.network.superlink import Link, node_key
from server.rounds import Round, run_rounds
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.identity.certificates import authority, certificate_pem, private_pem, server_certificate
from shared.identity.keys import new_key

PARAMETERS = 10_000
WAIT = 900.0  # seconds for all sites to start, and then to connect


def measure(sites: int, rounds: int, faults: float, deadline: float) -> dict[str, Any]:
    """Run rounds over so many sites; return times, memory, the number of lost replies and of wrong means."""
    names = [f"s{number:04d}" for number in range(sites)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "sites").mkdir()
        ca_key, key = new_key(), new_key()
        ca = authority(ca_key, 1)
        (folder / "ca.crt").write_bytes(certificate_pem(ca))
        (folder / "server.crt").write_bytes(
            certificate_pem(server_certificate(["127.0.0.1"], key.public_key(), ca, ca_key, 1))
        )
        (folder / "server.key").write_bytes(private_pem(key))
        public = socket.create_server(("127.0.0.1", 0), backlog=1024)
        spawn = multiprocessing.get_context("spawn")
        withheld = spawn.Value("q", 0, lock=False)
        players = spawn.Process(
            target=play_sites, args=(names, temporary, public.getsockname()[1], faults, withheld), daemon=True
        )
        players.start()
        try:
            until(lambda: (folder / "ready").exists(), WAIT)
            row = _served(folder, public, _config(names, rounds, deadline), players.pid or 0)
            return row | {"withheld": withheld.value, "lost": row["not_counted"] - withheld.value}
        finally:
            players.terminate()
            players.join()
            public.close()


def _served(folder: Path, public: socket.socket, config: RunConfig, players: int) -> dict[str, Any]:
    names = [site.id for site in config.data.sites]
    link = Link(public, folder / "server.crt", folder / "server.key")
    link.start()
    try:
        fleet = GridFleet(link, AllowList(folder / "sites", node_key), names)
        link.listen()
        (folder / "open").touch()
        until(lambda: len(fleet.connected()) == len(names), WAIT)
        start = AdapterState({"b": np.zeros(PARAMETERS, dtype=np.float32)})
        memory, blocks, seconds = list[float](), list[float](), list[float]()
        missed, wrong, values = 0, 0, values_of(names)
        before, theirs = time.process_time(), _cpu_of(players)
        weights = dict.fromkeys(names, 1.0)
        for done in run_rounds(config, "load", start, fleet, weights, lambda _: {}, lambda _: None):
            seconds.append(done.stages["train"])
            memory.append(_memory())
            blocks.append(sys.getallocatedblocks())
            missed += len(done.missing) + len(done.rejected)
            wrong += not _is_mean(done, start, values)
            start = done.adapter
        return {
            "sites": len(names),
            "rounds": len(seconds),
            "median_seconds": round(statistics.median(seconds), 2),
            "longest_seconds": round(max(seconds), 2),
            "server_cpu_seconds": round((time.process_time() - before) / len(seconds), 2),
            "sites_cpu_seconds": round((_cpu_of(players) - theirs) / len(seconds), 2),
            "not_counted": missed,
            "wrong_means": wrong,
            "memory_mb": round(memory[-1], 1),
            "growth_mb_per_50_rounds": round(_slope(memory), 2),
            "live_blocks_per_50_rounds": round(_slope(blocks)),
        }
    finally:
        link.close()


def _is_mean(done: Round, before: AdapterState, values: Mapping[str, float]) -> bool:
    """Return whether a round changed the adapter by the mean over the accepted replies, each counted once."""
    expected = statistics.fmean(values[name] for name in done.accepted) if done.committed else 0.0
    change = done.adapter.minus(before).arrays["b"]
    return bool(np.allclose(change, expected, rtol=1e-4, atol=1e-7))


def _config(names: Sequence[str], rounds: int, deadline: float) -> RunConfig:
    tree: Mapping[str, Any] = {
        "run": {"name": "load"},
        "model": {"name": "minilm"},
        "task": {"labels": ["no", "yes"]},
        "data": {"sites": [{"id": name, "file": "none.jsonl", "declared_size": 100} for name in names]},
        "training": {"rounds": rounds},
        "privacy": {"enabled": False},
        "cohort": {"quorum": max(1, len(names) // 2), "deadline": deadline},
    }
    return RunConfig.parse(tree, "bench")


def _memory() -> float:
    """Return the memory of this process now, in MB."""
    status = Path("/proc/self/statm")
    if status.is_file():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _cpu_of(process: int) -> float:
    """Return the processor time of another process so far, in seconds; 0 on a system without ``/proc``."""
    status = Path(f"/proc/{process}/stat")
    if not status.is_file():
        return 0.0
    fields = status.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _slope(memory: Sequence[float]) -> float:
    """Return the growth over 50 rounds, by least squares over the second half of the rounds."""
    half = memory[len(memory) // 2 :]
    return float(50 * np.polyfit(range(len(half)), half, 1)[0]) if len(half) > 2 else 0.0


def until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until ``holds()`` is true.

    Raises
    ------
    TimeoutError
        It did not hold within so many seconds.
    """
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("bench: the sites did not connect in time")
        time.sleep(0.05)


def main() -> None:
    """Print one row for each number of sites."""
    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("--sites", type=int, nargs="+", default=[3, 50, 100, 200], help="numbers of sites, one row each")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each row")
    parser.add_argument("--faults", type=float, default=0.0, help="chance of silence, a lost connection or NaN")
    parser.add_argument("--deadline", type=float, default=4.0, help="seconds of a round that a silent site costs")
    given = parser.parse_args()
    deadline = given.deadline if given.faults else 300.0
    print_rows([measure(sites, given.rounds, given.faults, deadline) for sites in given.sites], given.json)


if __name__ == "__main__":
    main()
