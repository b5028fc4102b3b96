"""Show the progress of a long command as bars, or as lines of text without a terminal."""

import sys
import time
from functools import partial
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from shared.ops.progress import Advance, logged

STAGES = {
    "calibrate": "calibrate the noise, declared sizes",
    "assess": "measure the anonymisation",
    "anonymise": "anonymise records",
    "paraphrase": "paraphrase records",
    "model": "load the model, check its gradients",
    "baselines": "measure the baselines",
    "train": "train, sites x rounds",
    "report": "measure the result, write the report",
    "compare": "compare, rows",
    "sweep": "sweep, trials",
    "utility": "run the points of the plot",
}


class Rate(ProgressColumn):
    """The speed of a bar, in units a second."""

    def render(self, task: Task) -> Text:
        """Return the rate, once there is one."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s")


class Bars:
    """Progress bars on standard error; lines every half minute if that is not a terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._lines = None if console.is_terminal else logged(_say)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def __call__(self, stage: str, total: int) -> Advance:
        """Start a bar; with a total of 0 it shows activity but no progress."""
        if self._lines is not None:
            return self._lines(stage, total)
        return partial(self._progress.advance, self._progress.add_task(STAGES.get(stage, stage), total=total or None))


def _say(stage: str, done: int | None = None, of: int | None = None, **_: float | None) -> None:
    """Print the state of a stage as one line."""
    counted = "" if done is None else f": {done:,} of {of:,}"
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {STAGES.get(stage, stage)}{counted}\n")
