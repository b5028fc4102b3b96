"""Kill this process at named points, only in tests, to check that a run survives a crash.

The environment variable ``HUSHTUNE_FAULT=point@round`` chooses the point when the process starts. Nothing that arrives over
the network can set it, and without it a point does nothing.
"""

import os
import signal

VARIABLE = "HUSHTUNE_FAULT"
SERVER_POINTS = ("chosen", "asked", "answered", "folded", "aggregated", "measured", "written", "committed")
SITE_POINTS = ("reserved", "training", "finished", "sending")


def point(name: str, round_number: int) -> None:
    """Kill this process at once if its environment names this point and round."""
    if os.environ.get(VARIABLE) == f"{name}@{round_number}":
        os.kill(os.getpid(), signal.SIGKILL)
