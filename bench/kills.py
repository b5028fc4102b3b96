"""Kill the server and the clients of real federations at random times, over TLS, and count what was lost: nothing may be.

``tests/e2e/test_kills.py`` makes and checks each run: after each kill the process is started anew with the same command. The
run must end with each round committed once, a card that verifies, and ledgers in which each round is charged once.

Run with: python -m bench.kills [--minutes N] [--seed N]
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.table import parser_of, print_rows

TEST = "tests/e2e/test_kills.py"


def repeat(minutes: float, seed: int) -> dict[str, Any]:
    """Repeat such runs; return the number of runs and of kills, and whether each run passed its checks.

    Parameters
    ----------
    minutes
        Time after which no further run begins.
    seed
        Chooses the times of the kills and what is killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "kills.json"
        given = {
            "HUSHTUNE_KILLS_MINUTES": f"{minutes:g}",
            "HUSHTUNE_KILLS_OUT": str(out),
            "HUSHTUNE_KILLS_SEED": f"{seed}",
        }
        command = [sys.executable, "-m", "pytest", "-q", "-m", "faults", TEST]
        done = subprocess.run(command, env=os.environ | given, check=False, capture_output=True, text=True)  # noqa: S603
        found = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {"runs": 0}
    if done.returncode:
        sys.stderr.write(done.stdout[-4000:])
    return {"seed": seed, **found, "all held": "no" if done.returncode else "yes"}


def main() -> None:
    """Print one row; exit with status 1 if a run was not whole."""
    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("--minutes", type=float, default=10.0, help="time after which no further run begins")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="chooses the kills")
    arguments = parser.parse_args()
    row = repeat(arguments.minutes, arguments.seed)
    print_rows([row], arguments.json)
    sys.exit(row["all held"] != "yes")


if __name__ == "__main__":
    main()
