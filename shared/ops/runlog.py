"""The run's log: one JSON object a line, made of numbers and short names; free text is refused."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"[\w.:@+/-]{1,128}")


@dataclass(frozen=True)
class RunLog:
    """Append-only events of a run, as JSON lines."""

    path: Path

    def event(self, kind: str, **fields: str | int | float | bool | None) -> None:
        """Write one event.

        Raises:
            ValueError: a value is neither a number nor a short name (letters, digits, . : @ + / - _): it could hold text.
        """
        for name, value in {"event": kind, **fields}.items():
            is_number = isinstance(value, int | float | bool | None)
            if not is_number and not (isinstance(value, str) and NAME.fullmatch(value)):
                raise ValueError(f"run log: field '{name}' holds free text; log a code or a number instead")
        line = json.dumps({"time": round(time.time(), 3), "event": kind, **fields})
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def round(self, number: int, committed: bool, rejected: Mapping[str, str], missing: Sequence[str]) -> None:
        """Write a round that has ended, and each site that did not count in it with its reason."""
        self.event("round", round=number, committed=committed)
        for site_id, reason in rejected.items():
            self.event("rejected", round=number, site_id=site_id, reason=reason)
        for site_id in missing:
            self.event("missing", round=number, site_id=site_id)
