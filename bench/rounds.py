"""Measure the overhead of a round: a server and three clients as real processes over TLS on loopback.

Each site takes one step on about two records and the server evaluates on eight, so nearly all time is overhead: orders,
replies, ledgers, screening and the checkpoint. An exchange is the part from the first order to the last reply; a round of
secure sums (the argument ``distributed``) has two. Flower's own server and clients take 5 to 7 s per round.
"""

import json
import shutil
import statistics
import sys

from bench.table import parser_of
from server.report.files import read_report
from shared.config.run import RunConfig
from shared.errors import HushtuneError, RunError
from simulations.demo_federation import CONFIG, Place, free_port, hand_out, provision, serve, take_part, wait

ROUNDS = {"local": 20, "distributed": 40}
EXCHANGES = {"local": 1, "distributed": 2}
WARM_UP = 2  # rounds in which sites read their records and load the model
SITES = ", ".join(f'{{id="{site}", records=60, declared_size=48}}' for site in ("north", "east", "south"))
TRIVIAL = ("training.steps=1", "training.sampling_rate=0.04", "model.max_length=8", "evaluation.max_records=8")
CHANGES = (f"data.sites=[{SITES}]", *TRIVIAL)
SHARED = ("privacy.trust=distributed", "aggregation.weights=declared", "aggregation.optimiser=adamw", "cohort.quorum=3")


def main() -> None:
    """Print one JSON line; on an error, print one sentence and exit with status 2."""
    parser = parser_of(__doc__)
    parser.add_argument("trust", nargs="?", choices=sorted(ROUNDS), default="local", help="the trust model; default: local")
    trust = parser.parse_args().trust
    changes = (*CHANGES, f"training.rounds={ROUNDS[trust]}", *(SHARED if trust == "distributed" else ()))
    try:
        config = RunConfig.load(CONFIG, changes)
        stages = measure(config, Place(config.run.output / "bench" / "rounds", free_port(), changes))
    except (HushtuneError, OSError) as error:
        sys.stderr.write(f"bench: {error}\n")
        sys.exit(2)
    rounds, exchanges = [sum(each.values()) for each in stages], [each["train"] / EXCHANGES[trust] for each in stages]
    row = {
        "trust": trust,
        "rounds": len(stages),
        "median_seconds": round(statistics.median(rounds), 3),
        "seconds": round(sum(rounds), 1),
        "longest_seconds": round(max(rounds), 3),
        "median_exchange_seconds": round(statistics.median(exchanges), 3),
    }
    sys.stdout.write(json.dumps(row) + "\n")


def measure(config: RunConfig, place: Place) -> list[dict[str, float]]:
    """Return the seconds of each round after the warm-up, by stage."""
    if place.folder.exists():
        shutil.rmtree(place.folder)
    provision(config, place)
    hand_out(config, place)
    server, *clients = [serve(place), *take_part(config, place)]
    try:
        wait(lambda: server.poll() is not None, clients)
        if server.returncode != 0:
            raise RunError(f"the server ended with status {server.returncode}; see {place.folder / 'server.log'}")
        return [done["stages"] for done in read_report(place.server / "run")["rounds"]][WARM_UP:]
    finally:
        for process in (server, *clients):
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
