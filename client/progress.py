"""How fast a long step of a set-up goes, told every so often in numbers."""

import time
from collections.abc import Callable

EVERY = 30.0  # seconds


class Pace:
    """Counts the units of one step, and tells units done and of how many, units a second, and the seconds left."""

    def __init__(self, told: Callable[..., None], step: str, total: int) -> None:
        self._told, self._step, self._total = told, step, total
        self._done, self._started = 0, time.monotonic()
        self._last = self._started
        told(step, done=0, of=total)

    def advance(self, count: int) -> None:
        """So many further units are done."""
        self._done += count
        now = time.monotonic()
        if now - self._last < EVERY and self._done < self._total:
            return
        self._last, rate = now, self._done / max(now - self._started, 1e-9)
        left = round((self._total - self._done) / rate)
        self._told(self._step, done=self._done, of=self._total, a_second=round(rate, 2), seconds_left=left)
