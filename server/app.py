"""The server of a federation: lock, resume or start, rounds, report."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from server.cohort import gather
from server.early_stopping import until_over
from server.fleet import GridFleet
from server.heartbeat import Watch, tell_start
from server.ledger_heads import Heads
from server.live_page import Live, shown
from server.network.allowlist import AllowList
from server.network.health import Health
from server.network.listen_address import Listening
from server.network.superlink import Link, node_key
from server.products import Stages
from server.provision import ServerFolder
from server.report.files import read_report
from server.rounds import Round, run_rounds
from server.run import ServerRun
from server.state import StateFolder, begin
from shared.config.run import RunConfig
from shared.ops.disk import FolderLock
from shared.ops.energy import Lap, laps_of
from shared.ops.event_printer import EventPrinter
from shared.ops.extras import require_for
from shared.ops.runlog import RunLog

NAMED, LONGEST = 8, 120  # missing sites that a line of the log names, and the characters of their names


def serve(
    config: RunConfig, folder: StateFolder, listening: Listening, fork: bool, printer: EventPrinter | None = None
) -> tuple[Path, dict[str, Any]]:
    """Run a federation to its end, from its start or its last committed round, and return the run's folder and report.

    Parameters
    ----------
    config
        The run's config.
    folder
        The server's state folder.
    listening
        The addresses of the server.
    fork
        Start a new run from the adapter in the folder.
    printer
        Prints each event; None prints nothing.

    Raises
    ------
    HushtuneError
        The folder is in use or damaged, an address or a file cannot be used, or a quorum stayed away.
    """
    require_for(config)
    with FolderLock(folder.root, "a server"), Health(listening.health) as health, shown(listening.live) as live:
        beginning = begin(folder, config, fork)
        if beginning.finished:
            return folder.run, read_report(folder.run)
        tell_start(config, beginning, folder)
        with listening.open() as public:
            run = ServerRun.load(config, folder, beginning)
            link = Link(public, *listening.tls(ServerFolder(folder.root)))
            with _connected(run, link, health, live) as (fleet, watch):
                return folder.run, _run(run, fleet, watch, printer)


@contextmanager
def _connected(run: ServerRun, link: Link, health: Health, live: Live | None) -> Iterator[tuple[GridFleet, Watch]]:
    """Open the link to which the sites of the run connect."""
    config, folder = run.config, run.folder
    try:
        link.start()
        fleet = GridFleet(
            link, AllowList(ServerFolder(folder.root).allow_list, node_key), [site.id for site in config.data.sites]
        )
        with Watch(fleet, health, config, run.beginning.run_id, folder.status, live) as watch:
            link.listen()
            yield fleet, watch
    finally:
        link.close()


def _run(run: ServerRun, fleet: GridFleet, watch: Watch, printer: EventPrinter | None) -> dict[str, Any]:
    """Run the remaining rounds, and report."""
    config, log = run.config, RunLog(run.folder.run / "events.jsonl", printer)
    rounds: list[Round] = list(run.beginning.rounds)
    watch.saw(rounds)
    log.event("server_started", run_id=run.beginning.run_id, round=run.beginning.first)
    laps: list[Lap | None] = [None] * len(rounds)
    budget, attempts = config.training.byte_budget, _attempts(run, fleet, rounds, log)
    remaining = until_over(attempts, config.evaluation.patience, rounds, budget)
    for done, lap in laps_of(remaining, config.report.energy, config.report.country):
        rounds.append(done)
        laps.append(lap)
        watch.saw(rounds)
        log.round(done.number, done.committed, {bad.site_id: bad.code for bad in done.rejected}, done.missing)
    stages = Stages()
    for done in rounds:
        stages.add(done.stages)
    document = run.report(rounds, stages, laps)
    log.event("run_ended", rounds=len(rounds))
    return document


def _attempts(run: ServerRun, fleet: GridFleet, rounds: Sequence[Round], log: RunLog) -> Iterator[Round]:
    """Wait for the sites, then yield each attempt at a remaining round; ``rounds`` fills with the finished ones."""
    config, plan = run.config, run.plan  # the plan is computed while sites connect
    sites = [site.id for site in config.data.sites]

    def tell(missing: Sequence[str]) -> None:
        named = "+".join(missing[:NAMED]) + ("+..." if len(missing) > NAMED else "")
        log.event("waiting", here=len(sites) - len(missing), quorum=config.cohort.quorum, missing=named[:LONGEST])

    gather(fleet.connected, sites, config.cohort, tell)
    yield from run_rounds(
        config,
        run.beginning.run_id,
        run.start,
        fleet,
        config.weights,
        run.measures.evaluate,
        lambda done: run.commit(rounds, done),
        plan,
        run.beginning.last,
        heads=Heads(run.folder.heads, fleet.key_of),
        before_asking=run.attempts.add,
        bound=run.attempts.last(run.beginning.first) if config.aggregation.secure_sums else (),
    )
