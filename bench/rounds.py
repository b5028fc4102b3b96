"""How long a round takes beside its training: a server and three clients as real processes over TLS on loopback.

A site takes one step on about two records and the server scores eight, so that nearly all of a round's time is what the
round itself costs: orders, replies, ledgers, screening, the checkpoint. Flower's own server and clients take 5 to 7 s.
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
    """Print one JSON line; ends with status 2 and one sentence if something is in the way."""
    try:
        config = RunConfig.load(CONFIG, CHANGES)
        seconds = measure(config, Place(config.run.output / "bench" / "rounds", free_port(), CHANGES))
    except (HushtuneError, OSError) as error:
        sys.stderr.write(f"bench: {error}\n")
        sys.exit(2)
    row = {"rounds": len(seconds), "median_seconds": statistics.median(seconds), "longest_seconds": max(seconds)}
    sys.stdout.write(json.dumps(row) + "\n")


def measure(config: RunConfig, place: Place) -> list[float]:
    """Seconds of each round after the warm-up."""
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
