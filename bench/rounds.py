"""Measure the overhead of a round: a server and three clients as real processes over TLS on loopback.

Each site takes one step on about two records and the server evaluates on eight, so nearly all time is overhead: orders,
replies, ledgers, screening and the checkpoint. Flower's own server and clients take 5 to 7 s per round.
"""

import json
import shutil
import statistics
import sys

from server.report.document import read_report
from shared.config.run import RunConfig
from shared.errors import HushtuneError, RunError
from simulations.demo_federation import CONFIG, Place, free_port, hand_out, provision, serve, take_part, wait

ROUNDS = 12
WARM_UP = 2  # rounds in which sites read their records and load the model
TRIVIAL = ("training.steps=1", "training.sampling_rate=0.005", "model.max_length=8", "evaluation.max_records=8")
CHANGES = (f"training.rounds={ROUNDS}", *TRIVIAL)


def main() -> None:
    """Print one JSON line; on an error, print one sentence and exit with status 2."""
    try:
        config = RunConfig.load(CONFIG, CHANGES)
        seconds = measure(config, Place(config.run.output / "bench" / "rounds", free_port(), CHANGES))
    except (HushtuneError, OSError) as error:
        sys.stderr.write(f"bench: {error}\n")
        sys.exit(2)
    row = {"rounds": len(seconds), "median_seconds": statistics.median(seconds), "longest_seconds": max(seconds)}
    sys.stdout.write(json.dumps(row) + "\n")


def measure(config: RunConfig, place: Place) -> list[float]:
    """Return the seconds of each round after the warm-up."""
    if place.folder.exists():
        shutil.rmtree(place.folder)
    provision(config, place)
    hand_out(config, place)
    server, *clients = [serve(place), *take_part(config, place)]
    try:
        wait(lambda: server.poll() is not None, clients)
        if server.returncode != 0:
            raise RunError(f"the server ended with status {server.returncode}; see {place.folder / 'server.log'}")
        return [round(done["seconds"], 3) for done in read_report(place.server / "run")["rounds"]][WARM_UP:]
    finally:
        for process in (server, *clients):
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
