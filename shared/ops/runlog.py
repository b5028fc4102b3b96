"""Write the log of a run: one JSON object per line, with numbers and short names only; free text is refused."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.ops.event_printer import EventPrinter

FULL = 10 * 2**20  # bytes of a log file
KEPT = 4  # full files that are kept, as events.jsonl.1 to .4
NAME = re.compile(r"[\w.:@+/-]{1,128}")


@dataclass(frozen=True)
class RunLog:
    """Append-only file of a run's events, as JSON lines; a full file is moved aside, and of those the newest are kept.

    ``printer`` prints each event on standard error as well; None prints nothing.
    """

    path: Path
    printer: EventPrinter | None = None

    def event(self, kind: str, **fields: str | int | float | bool | None) -> None:
        """Append one event.

        Parameters
        ----------
        kind
            Name of the event.
        fields : str, int, float, bool or None
            Values of the event.

        Raises
        ------
        ValueError
            A text is not a short name (letters, digits, . : @ + / - _), so it could hold free text.
        """
        for name, value in {"event": kind, **fields}.items():
            is_name = isinstance(value, str) and NAME.fullmatch(value)
            if not is_name and not isinstance(value, int | float | None):
                raise ValueError(f"run log: field '{name}' holds free text; log a code or a number instead")
        line = json.dumps({"time": round(time.time(), 3), "event": kind, **fields})
        self._rotate()
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
        if self.printer is not None:
            self.printer.print_event(kind, fields)

    def _rotate(self) -> None:
        if not self.path.is_file() or self.path.stat().st_size < FULL:
            return
        for number in range(KEPT, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
            if older.is_file():
                older.rename(self.path.with_name(f"{self.path.name}.{number}"))

    def round(self, number: int, committed: bool, rejected: Mapping[str, str], missing: Sequence[str]) -> None:
        """Append a finished round, and one event for each site whose reply did not count.

        Parameters
        ----------
        number
            Number of the round.
        committed
            Whether the round counts.
        rejected
            Reason by site, for sites whose reply was rejected.
        missing
            Sites that did not reply.
        """
        self.event("round", round=number, committed=committed)
        for site_id, reason in rejected.items():
            self.event("rejected", round=number, site_id=site_id, reason=reason)
        for site_id in missing:
            self.event("missing", round=number, site_id=site_id)
