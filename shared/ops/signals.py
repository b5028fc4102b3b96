"""How a long-lived process ends when its supervisor asks it to."""

import signal
import sys


def end_on_sigterm() -> None:
    """Take SIGTERM for a wish to end: what is open is closed on the way out, and the status is 0."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
