"""How a long command says how far it is: one function that begins a stage and returns what counts its units."""

import time
from collections.abc import Callable

Advance = Callable[[int], None]  # so many further units of the stage are done
Progress = Callable[[str, int], Advance]  # a stage of so many units begins, and the one before is over; 0 counts nothing

EVERY = 30.0  # seconds between two lines of a log


def silent(stage: str, total: int) -> Advance:
    """Begin a stage and show nothing.

    Parameters
    ----------
    stage, total
        As every progress takes them: the stage's code name, and how many units it has.
    """
    return _nothing


def logged(log: Callable[..., None]) -> Progress:
    """Return a progress that logs each stage: its start, then every 30 seconds how far it is, and its end.

    Parameters
    ----------
    log
        Called with the stage's code name, and by name with the units ``done`` and ``of`` how many, units ``a_second`` and
        ``seconds_left``.
    """

    def begin(stage: str, total: int) -> Advance:
        if not total:
            log(stage)
            return _nothing
        log(stage, done=0, of=total)
        return _Pace(log, stage, total).advance

    return begin


class _Pace:
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
