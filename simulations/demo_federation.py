"""Show a real federation on one machine: provision it, start it, kill the server in the middle of the run, and resume it.

Every step is a command that operators and stewards use; only the records are generated. Run: ``make demo-federation``.
"""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.config.run import RunConfig
from shared.errors import HushtuneError, RunError
from shared.records.types import RawRecord
from simulations.data.partition import split_held_out
from simulations.data.synthetic import patient_messages

CONFIG = Path("configs/federation.toml")
KILL_AFTER = 1  # committed rounds
PATIENCE = 900.0  # seconds to wait for an expected event


@dataclass(frozen=True)
class Place:
    """The folder of the demo's files and the port of its server."""

    folder: Path
    port: int
    changes: tuple[str, ...] = ()  # changed fields of the config, as given to --set

    @property
    def server(self) -> Path:
        """The server's state folder."""
        return self.folder / "server"

    def events(self) -> list[dict[str, Any]]:
        """Read the events that the server has logged so far."""
        path = self.server / "run" / "events.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []

    def committed(self) -> int:
        """Return the number of the last committed round, 0 if there is none."""
        return max(
            (event["round"] for event in self.events() if event["event"] == "round" and event["committed"]), default=0
        )


def main() -> None:
    """Run the demo; on an error, print one sentence and exit with status 2."""
    try:
        config = RunConfig.load(CONFIG)
        demonstrate(config, Place(config.run.output / "demo-federation", free_port()))
    except (HushtuneError, OSError) as error:
        sys.stderr.write(f"demo: {error}\n")
        sys.exit(2)


def demonstrate(config: RunConfig, place: Place) -> None:
    """Run all steps of the demo, and stop every process at the end."""
    if place.folder.exists():
        shutil.rmtree(place.folder)
    say("1. The operator creates a certificate authority, the server's certificate, and a folder for each site.")
    provision(config, place)
    say("2. Each steward creates a key at the site and fills in SITE.toml; only public keys are sent to the operator.")
    hand_out(config, place)
    say("3. The server and three clients start, each in its own process.")
    started = [serve(place), *take_part(config, place)]
    try:
        wait(lambda: place.committed() >= KILL_AFTER, started)
        say(f"4. Round {place.committed()} is committed. Now the server is killed with SIGKILL, as in a power failure.")
        started[0].kill()
        started[0].wait()
        say("5. The server is started again with the same command, and continues after the last committed round.")
        started[0] = serve(place)
        wait(lambda: started[0].poll() is not None, started[1:])
        finish(place, started[0])
    finally:
        for process in started:
            process.terminate()
            process.wait()


def provision(config: RunConfig, place: Place) -> None:
    """Create the server's folder, which contains a folder to hand over to each site."""
    sites = [part for site in config.data.sites for part in ("--site", site.id)]
    hushtune("provision", "server", "--host", "127.0.0.1", "--port", place.port, "--out", place.server, *sites)


def hand_out(config: RunConfig, place: Place) -> None:
    """Give each site its folder, key and records, and the server the held-out records and the sites' public keys."""
    held_out: list[dict[str, object]] = []
    for index, site in enumerate(config.data.sites):
        home = place.folder / site.id
        shutil.move(place.server / "hand-over" / site.id, home)
        rows = list(patient_messages(index, len(config.data.sites), site.records, config.run.seed))
        records = [RawRecord({"text": str(row["text"])}, None, number) for number, row in enumerate(rows)]
        training, held = split_held_out(records, config.data.held_out, config.run.seed)
        write_rows(home / "records.jsonl", [rows[record.position] for record in training])
        held_out += [rows[record.position] for record in held]
        file = home / "SITE.toml"
        text = file.read_text().replace("declared_size = 0 ", f"declared_size = {site.declared_size} ")
        text = text.replace('trust = ["local"] ', f"trust = {json.dumps([config.privacy.trust])} ")
        file.write_text(text.replace("labels = [] ", f"labels = {json.dumps(config.task.labels)} ", 1))
        hushtune("provision", "site", home)
        shutil.copy(home / f"{site.id}.pub", place.server / "sites")
    if config.adds_up_under_masks:
        for site in config.data.sites:
            hushtune("provision", "roster", place.folder / site.id, *sorted((place.server / "sites").glob("*.pub")))
    write_rows(place.folder / "held_out.jsonl", held_out)


def finish(place: Place, server: subprocess.Popen[bytes]) -> None:
    """Print the outcome; raise RunError if the server failed."""
    if server.returncode != 0:
        raise RunError(f"the server ended with status {server.returncode}; see {place.folder / 'server.log'}")
    rounds = [event["round"] for event in place.events() if event["event"] == "round" and event["committed"]]
    say(f"6. Done: rounds {', '.join(map(str, rounds))} were committed, each once.")
    say(f"   Report: {place.server / 'run' / 'report.html'}")


def serve(place: Place) -> subprocess.Popen[bytes]:
    """Start the server's process, which logs to server.log in the demo's folder."""
    at = ("--listen", f"127.0.0.1:{place.port}", "--health", "127.0.0.1:0")
    held_out = f"evaluation.file={json.dumps(str(place.folder / 'held_out.jsonl'))}"
    changes = [part for change in (held_out, *place.changes) for part in ("--set", change)]
    return start(place.folder / "server.log", "server", CONFIG, "--state", place.server, *at, *changes)


def take_part(config: RunConfig, place: Place) -> list[subprocess.Popen[bytes]]:
    """Start the client process of each site, which logs to SITE.log in the demo's folder."""
    return [
        start(place.folder / f"{site.id}.log", "client", place.folder / site.id / "SITE.toml") for site in config.data.sites
    ]


def start(log: Path, *arguments: object) -> subprocess.Popen[bytes]:
    """Start a hushtune command in the background, with its output appended to a file."""
    with log.open("ab") as out:
        return subprocess.Popen(command(arguments), stdout=out, stderr=out)  # noqa: S603  our own command line


def hushtune(*arguments: object) -> None:
    """Print a hushtune command, run it, and raise RunError with its message if it fails."""
    say(f"   $ hushtune {' '.join(map(str, arguments))}")
    done = subprocess.run(command(arguments), capture_output=True, text=True, check=False)  # noqa: S603  our own command line
    if done.returncode:
        raise RunError(done.stderr.strip())


def command(arguments: Sequence[object]) -> list[str]:
    """Return the command line that runs hushtune with this Python."""
    return [sys.executable, "-m", "hushtune", *map(str, arguments)]


def wait(holds: Callable[[], bool], alive: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait until a condition holds.

    Parameters
    ----------
    holds
        The condition.
    alive
        Processes that must keep running meanwhile.

    Raises
    ------
    RunError
        One of these processes ended, or the condition still fails after ``PATIENCE`` seconds.
    """
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end or any(process.poll() is not None for process in alive):
            raise RunError("a process ended too early, or waiting took too long; see the .log files of the demo's folder")
        time.sleep(0.2)


def write_rows(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def free_port() -> int:
    """Return a free loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


if __name__ == "__main__":
    main()
