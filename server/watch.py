"""Once a second, beside the rounds: read the allow-list again, tell the probes, and write the status file."""

import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from server.fleet import GridFleet
from server.health import Health
from shared.config import RunConfig

EVERY = 1.0  # seconds


class Watch:
    """A thread that lives as long as the rounds; ``round`` is the one under way."""

    def __init__(self, fleet: GridFleet, health: Health, config: RunConfig, run_id: str, status: Path) -> None:
        self._fleet, self._health, self._config, self._run_id, self._status = fleet, health, config, run_id, status
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.round = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        self._write("ended" if kind is None else "stopped")

    def _watch(self) -> None:
        while not self._ended.wait(EVERY):
            self._fleet.refresh()
            quorum = len(self._fleet.connected()) >= self._config.cohort.quorum
            self._health.show(True, quorum)
            self._write("running" if self._fleet.waiting else "waiting for a quorum" if not quorum else "between rounds")

    def _write(self, state: str) -> None:
        """Replace the status file; it says nothing that the server's log does not."""
        document: Mapping[str, Any] = {
            "process": os.getpid(),
            "time": round(time.time(), 3),
            "state": state,
            "run": self._config.run.name,
            "run_id": self._run_id,
            "round": self.round,
            "rounds": self._config.training.rounds,
            "quorum": self._config.cohort.quorum,
            "waits_for": list(self._fleet.waiting),
            "sites": {
                site: {"connected": node.online, "since": node.since, "counts_as_connected_until": node.online_until}
                for site, node in self._fleet.nodes().items()
            },
        }
        partial = self._status.with_suffix(".partial")
        partial.write_text(json.dumps(document, indent=2), encoding="utf-8")
        partial.rename(self._status)
