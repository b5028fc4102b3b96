"""For tests alone: named points at which a process kills itself, to see that a run survives it.

A process has the fault that its environment named when it started, ``HUSHTUNE_FAULT=point@round``; nothing that arrives
over the wire can set one, and without the variable a point does nothing.
"""

import os
import signal

VARIABLE = "HUSHTUNE_FAULT"
SERVER_POINTS = ("chosen", "asked", "answered", "folded", "aggregated", "measured", "written", "committed")
SITE_POINTS = ("reserved", "training", "finished", "sending")


def point(name: str, round_number: int) -> None:
    """Die here, as by a power cut, if this process was started to."""
    if os.environ.get(VARIABLE) == f"{name}@{round_number}":
        os.kill(os.getpid(), signal.SIGKILL)
