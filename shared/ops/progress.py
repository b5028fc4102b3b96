"""Report the progress of a long command: one function begins a stage and returns another that counts finished units."""

import time
from collections.abc import Callable

Advance = Callable[[int], None]  # takes the number of units that were finished since the last call
# Takes the code name and the number of units of a stage that begins, which ends the stage before; 0 if nothing is counted.
Progress = Callable[[str, int], Advance]

EVERY = 30.0  # seconds between two lines of a log


def silent(stage: str, total: int) -> Advance:
    """Begin a stage and show nothing."""
    return _nothing


def logged(log: Callable[..., None]) -> Progress:
    """Return a ``Progress`` that logs the start of each stage, its state every 30 seconds, and its end.

    Parameters
    ----------
    log
        Called with the stage's code name and the keywords ``done`` (units), ``of`` (all units), ``a_second`` (units per
        second) and ``seconds_left``.
    """

    def begin(stage: str, total: int) -> Advance:
        if not total:
            log(stage)
            return _nothing
        log(stage, done=0, of=total)
        return _Pace(log, stage, total).advance

    return begin


class _Pace:
    """Counts the finished units of one stage and logs at most one line in ``EVERY`` seconds."""

    def __init__(self, log: Callable[..., None], stage: str, total: int) -> None:
        self._log, self._stage, self._total = log, stage, total
        self._done, self._started = 0, time.monotonic()
        self._last = self._started

    def advance(self, units: int) -> None:
        self._done += units
        now = time.monotonic()
        if now - self._last < EVERY and self._done < self._total:
            return
        self._last, rate = now, self._done / max(now - self._started, 1e-9)
        left = round((self._total - self._done) / rate) if rate else None
        self._log(self._stage, done=self._done, of=self._total, a_second=round(rate, 2), seconds_left=left)


def _nothing(units: int) -> None:
    """Count nothing."""
