"""A site as a process: it reconnects whenever the server goes, and carries out one order after another."""

import math
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, TypeVar

from client.app import client_app
from client.connection import Connection
from client.lost_server import IdentityInUse, ServerGone
from client.outward_codes import reason_code
from client.server_access import ServerAccess
from client.set_up import Host
from client.site_file import SiteFile
from client.status import StatusWriter
from shared.errors import ConfigError, ConnectionRefused, Declined, HushtuneError, one_line
from shared.models.device import refuse_processes
from shared.models.load import choose_device
from shared.ops import crash_points as faults
from shared.ops.address import is_loopback, parsed
from shared.ops.disk import FolderLock
from shared.ops.energy import Lap, laps_of
from shared.ops.event_printer import EventPrinter
from shared.ops.extras import require
from shared.ops.runlog import RunLog
from shared.wire.messages import Order, TrainOrder, TrainReply
from shared.wire.secure_messages import MaskedOrder, MaskedReply, ReadyReply

if TYPE_CHECKING:
    from flwr.clientapp import ClientApp

Asked = TypeVar("Asked", bound=Order)
Made = TypeVar("Made")
FIRST_LEAVES = 4.0  # seconds after which an order that is declined is answered, at the earliest
SHORT_PAUSE, LONG_PAUSE = 3.0, 30.0  # longest pauses, in seconds, between attempts to reach a server: at first, and later
BUDGETS = 10.0  # seconds between updates of the budgets in the status file while orders come without a pause
FORGOTTEN = 30.0  # seconds after which a server has surely forgotten a connection of this site that was lost
PATIENT = 20  # attempts with short pauses, which outlast a restart of the server
LAST_ATTEMPTS = 6  # attempts to reach a server that is gone after the last round: it may only have been restarted


class Service:
    """Carries out the orders of a server at a site, and logs each by codes and numbers."""

    def __init__(
        self, file: SiteFile, log: RunLog, status: StatusWriter, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self._file, self._log, self._status, self._wait = file, log, status, wait
        self._host = Host(file, self._step)
        self._last_round = 0  # the newest round with a reply
        self._end = 0  # the first round that may be the last of its run
        self._budgets_changed = False
        self._budgets_written = -math.inf

    def _step(self, step: str, **numbers: float | None) -> None:
        """Log a step of the set-up of records, and show it in the status."""
        self._log.event("step", step=step, **numbers)
        self._status.step(step)

    def train(self, order: TrainOrder) -> TrainReply:
        """Carry out an order and log how it went."""
        reply, lap = self._carried_out(order, self._host.train, "trained")
        self._end = _earliest_end(order)
        self._sending(order)
        # No noise covers it and it follows how many records were sampled, so under privacy it never leaves.
        leaves = self._file.policy.unreleased_metrics and not order.config.privacy.enabled
        return replace(reply, kwh=lap.kwh) if lap and leaves else reply

    def ready(self, order: TrainOrder) -> ReadyReply:
        """Carry out the first phase of an attempt at a secure sum and log how it went."""
        reply, _ = self._carried_out(order, self._host.ready, "ready")
        self._end = _earliest_end(order)
        return reply

    def masked(self, order: MaskedOrder) -> MaskedReply:
        """Carry out the second phase of an attempt at a secure sum and log how it went."""
        reply, _ = self._carried_out(order, self._host.masked, "masked")
        self._sending(order)
        return reply

    def _carried_out(self, order: Asked, work: Callable[[Asked], Made], done: str) -> tuple[Made, Lap | None]:
        """Carry out an order and log its outcome; delay the answer if it is declined, because its time could reveal why."""
        started, site = time.monotonic(), self._file.site
        self._log.event("order", run_id=order.run_id, round=order.round, process=os.getpid())
        self._status.order(order, "training")
        self._budgets_changed = True
        try:
            ((reply, lap),) = laps_of(map(work, [order]), site.energy, site.country)
        except Exception as error:
            self._refused(order, error)
            if isinstance(error, Declined):
                self._wait(until_it_leaves(time.monotonic() - started))
            raise
        seconds = round(time.monotonic() - started, 3)
        self._log.event(done, run_id=order.run_id, round=order.round, seconds=seconds, **(asdict(lap) if lap else {}))
        return reply, lap

    def _sending(self, order: Order) -> None:
        self._status.order(order, "sent")
        self._last_round = order.round
        faults.point("sending", order.round)

    def _refused(self, order: Order, error: Exception) -> None:
        """Show the steward the reason, which the server must not learn."""
        reason = error.__cause__ if isinstance(error, Declined) and error.__cause__ else error
        code = reason_code(reason)
        self._log.event("refused", run_id=order.run_id, round=order.round, reason=code)
        self._status.order(order, "refused" if isinstance(reason, HushtuneError) else "failed", code)
        if isinstance(reason, HushtuneError):
            sys.stderr.write(f"hushtune: round {order.round} refused: {one_line(reason)}\n")
        elif isinstance(reason, OSError) and reason.errno:  # the system's own words, which hold no record
            said = os.strerror(reason.errno)
            sys.stderr.write(f"hushtune: round {order.round} failed: {said}; correct this; the server may ask again\n")

    def write_budgets(self, *, idle: bool) -> None:
        """Write the remaining budget to the status file, if there was an order since it was last written.

        Computing it takes as long as a small round. Therefore it is done when no order waits, and otherwise only every
        ``BUDGETS`` seconds.

        Parameters
        ----------
        idle
            Whether the server has no order for this site.
        """
        if self._budgets_changed and (idle or time.monotonic() - self._budgets_written > BUDGETS):
            self._status.budgets(self._host.budgets())
            self._budgets_changed, self._budgets_written = False, time.monotonic()

    @property
    def finished(self) -> bool:
        """Whether a round was trained that may have been the run's last."""
        return 0 < self._end <= self._last_round


def until_it_leaves(elapsed: float) -> float:
    """Return how many seconds to delay the answer to a declined order, so that its time reveals almost nothing.

    The answer leaves 4, 8, 16, ... seconds after the order came. How far the work got shows in one bit for each doubling
    (predictive mitigation, Askarov, Zhang and Myers 2010, doi 10.1145/1866307.1866341).

    Parameters
    ----------
    elapsed
        Seconds since the order came.
    """
    leaves = FIRST_LEAVES
    while leaves < elapsed:
        leaves *= 2
    return leaves - elapsed


def _earliest_end(order: TrainOrder) -> int:
    """Return the first round that may be the run's last; a server with patience may stop early."""
    rounds, patience = order.config.training.rounds, order.config.evaluation.patience
    return min(rounds, 1 + patience) if patience else rounds


def run_site(file: SiteFile, once: bool, insecure: bool, printer: EventPrinter | None = None) -> None:
    """Serve a site until the process is stopped, or with ``once`` until a run is over.

    Parameters
    ----------
    file
        The site's settings (SITE.toml).
    once
        End after one run.
    insecure
        Connect without TLS; only to a server on this machine.
    printer
        Prints each event; None prints nothing.

    Raises
    ------
    HushtuneError
        Another client runs on the folder, or the server turned this site away.
    """
    if file.site.energy:
        require("site.energy = true", "energy")
    refuse_processes(file.model.processes, choose_device(file.model.device))
    host, port = parsed(file.server.address)
    if insecure and not is_loopback(host):
        raise ConfigError(f"--insecure: without TLS a client connects only to this machine, not to {host}; leave it out")
    state = file.site.state
    with FolderLock(state, f"a client of site {file.site.id}"):
        ca = None if insecure else file.server.ca
        access = ServerAccess.from_files(file.site.id, file.server.address, ca, file.server.key, file.policy.max_trainable)
        log, status = RunLog(state / "events.jsonl", printer), StatusWriter(file)
        service, attempt, in_use_since = Service(file, log, status), 0, 0.0
        while True:
            try:
                with Connection(access, state / "node") as connection:
                    log.event("connected", host=host, port=port)
                    status.connection("connected")
                    attempt = 0
                    _serve(connection, service, client_app(service, file.policy.permit_reply), status)
            except ServerGone as gone:
                in_use_since = (in_use_since or time.monotonic()) if isinstance(gone, IdentityInUse) else 0.0
                if in_use_since and time.monotonic() - in_use_since > FORGOTTEN:
                    status.connection("refused")
                    raise ConnectionRefused(str(gone)) from gone
                if attempt & (attempt - 1) == 0:  # the attempts 0, 1, 2, 4, 8, ..., so that the log stays short
                    log.event("disconnected", attempt=attempt, reason=gone.code)
                    _explain(gone, printer)
                status.connection("connecting", gone.code)
                service.write_budgets(idle=True)
            except ConnectionRefused:
                status.connection("refused")
                raise
            if once and service.finished and attempt >= LAST_ATTEMPTS:
                status.connection("closed")
                return
            longest = SHORT_PAUSE if attempt < PATIENT else LONG_PAUSE
            time.sleep(min(longest, 0.25 * 2 ** min(attempt, 8)) * random.uniform(0.5, 1))  # noqa: S311  only to spread sites
            attempt += 1


def _explain(gone: ServerGone, printer: EventPrinter | None) -> None:
    """Show the steward why the server cannot be reached; the log holds only the code."""
    if printer is not None and not printer.structured and str(gone):
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {one_line(gone)}\n")


def _serve(connection: Connection, service: Service, app: "ClientApp", status: StatusWriter) -> None:
    """Answer messages until the server goes away."""
    for message in connection.messages():
        if message is None:
            service.write_budgets(idle=True)
            status.refresh()
        else:
            connection.answer(app, message)
            service.write_budgets(idle=False)
