"""A background thread that, once a second, rereads the allow-list, updates the health checks and writes the status file."""

import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from server.fleet import GridFleet
from server.live_page import Live
from server.network.health import Health
from server.rounds import Round
from server.state import Beginning, StateFolder
from shared.config.run import RunConfig
from shared.errors import one_line
from shared.ops.status import ServerStatus, SiteSeen, Stage, StatusFile

EVERY = 1.0  # seconds


def tell_start(config: RunConfig, beginning: Beginning, folder: StateFolder) -> None:
    """Write the first status of this process, before model and records are loaded, which may take a minute.

    Otherwise the file would name an earlier process that has ended.
    """
    committed, rounds = beginning.first - 1, config.training.rounds
    StatusFile(folder.status).write(
        ServerStatus(
            run=config.run.name,
            run_id=beginning.run_id,
            stage="starting",
            round=min(committed + 1, rounds),
            rounds=rounds,
            committed=committed,
            quorum=config.cohort.quorum,
        )
    )


class Watch:
    """A context manager that runs the background thread for the duration of the rounds."""

    def __init__(
        self,
        fleet: GridFleet,
        health: Health,
        config: RunConfig,
        run_id: str,
        status: Path,
        live: Live | None = None,
    ) -> None:
        self._fleet, self._health, self._config, self._run_id, self._live = fleet, health, config, run_id, live
        self._status = StatusFile(status)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._done: tuple[Round, ...] = ()
        self._full = False

    def __enter__(self) -> Self:
        _print_faults(self._fleet.faults)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        self._tell("finished" if kind is None else "failed")

    def saw(self, rounds: Sequence[Round]) -> None:
        """Set the round attempts that have ended so far; the status file reports them."""
        self._done = tuple(rounds)

    def _watch(self) -> None:
        while not self._ended.wait(EVERY):
            _print_faults(self._fleet.refresh())
            quorum = len(self._fleet.connected()) >= self._config.cohort.quorum
            self._health.show(True, quorum)
            self._tell("asking" if self._fleet.waiting else "between_rounds" if quorum else "waiting_for_sites")

    def _tell(self, stage: Stage) -> None:
        """Write the status; report a full disk once and go on, because this thread also reads the allow-list."""
        try:
            self._write(stage)
            self._full = False
        except OSError as error:
            if not self._full:
                sys.stderr.write(f"hushtune: the status cannot be written ({one_line(error)}); free some space\n")
            self._full = True

    def _write(self, stage: Stage) -> None:
        """Replace the status file and update the live page; neither shows anything that the server does not also log."""
        done, rounds = self._done, self._config.training.rounds
        committed = max((each.number for each in done if each.committed), default=0)
        failed = sum(not each.committed and each.number == committed + 1 for each in done)
        status = ServerStatus(
            run=self._config.run.name,
            run_id=self._run_id,
            stage=stage,
            round=min(committed + 1, rounds),
            rounds=rounds,
            committed=committed,
            attempt=failed + 1,
            quorum=self._config.cohort.quorum,
            waits_for=self._fleet.waiting,
            sites=self._sites(done),
        )
        self._status.write(status)
        if self._live is not None:
            self._live.show(status, done)

    def _sites(self, done: Sequence[Round]) -> tuple[SiteSeen, ...]:
        """Return for each site of the run whether it is connected and the outcome of its last round."""
        nodes, now = self._fleet.nodes(), time.time()
        rows = []
        for site in self._config.data.sites:
            node, (number, outcome) = nodes.get(site.id), _last_outcome(site.id, done)
            seen = None if node is None or not node.online_until else min(now, node.online_until)
            online = node is not None and node.online
            rows.append(SiteSeen(site_id=site.id, connected=online, last_seen=seen, last_round=number, outcome=outcome))
        return tuple(rows)


def _print_faults(faults: Sequence[str]) -> None:
    """Print the faults of the allow-list to stderr, for the operator."""
    for fault in faults:
        sys.stderr.write(f"hushtune: {one_line(fault)}\n")


def _last_outcome(site_id: str, done: Sequence[Round]) -> tuple[int | None, str | None]:
    """Return the last round that a site was asked in, and its outcome: accepted, missing, or the reason of rejection."""
    for each in reversed(done):
        if site_id in each.accepted:
            return each.number, "accepted"
        if site_id in each.missing:
            return each.number, "missing"
        for bad in each.rejected:
            if bad.site_id == site_id:
                return each.number, bad.reason
    return None, None
