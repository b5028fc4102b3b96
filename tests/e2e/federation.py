"""Provision, start, kill and observe a federation of real processes on loopback, for tests."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WORDS
from forked import start_command

import hushtune
from shared.config.run import RunConfig
from shared.records.types import RawRecord
from simulations.data.partition import split_held_out
from simulations.demo_federation import free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 600.0  # seconds; generous, since these tests make no claim about speed
Rows = Sequence[Mapping[str, str]]


def here(folder: Path, words: Sequence[str]) -> tuple[int, str]:
    """Run a command line in this process, by its installed entry point; return its exit status and output."""
    said = io.StringIO()
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(words))
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), pytest.raises(SystemExit) as ended:
            hushtune.main()
    return int(ended.value.code or 0), said.getvalue()


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "hushtune", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


class Process:
    """A running command whose output goes to a file."""

    def __init__(self, pid: int, log: Path, poll: Callable[[], int | None]) -> None:
        self.pid, self.log, self._poll = pid, log, poll
        self._status: int | None = None

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def poll(self) -> int | None:
        """Return the exit status (negative for a signal), or None while the process runs."""
        if self._status is None:
            self._status = self._poll()
        return self._status

    def wait(self, seconds: float = PATIENCE) -> int:
        until(lambda: self.poll() is not None, f"process {self.log.name} to end:\n{self.said[-2000:]}", seconds)
        return self.poll() or 0

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.wait(90)

    def end(self) -> int:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
        return self.wait(90)


class Launcher:
    """Start each command in a new Python, as users do."""

    def start(self, arguments: Sequence[str], log: Path, given: Mapping[str, str]) -> Process:
        with log.open("wb") as out:
            popen = subprocess.Popen(command(*arguments), env=environment() | given, stdout=out, stderr=out)
        return Process(popen.pid, log, popen.poll)


class Nursery(Launcher):
    """Start commands as forks of a Python that has already imported the libraries; see ``forked``."""

    def start(self, arguments: Sequence[str], log: Path, given: Mapping[str, str]) -> Process:
        process = start_command(arguments, log, given)
        assert process.pid
        return Process(process.pid, log, lambda: process.exitcode)


@dataclass
class Federation:
    """The folders of a provisioned server and its sites, and the processes that run on them."""

    folder: Path
    config: Path
    sites: Sequence[str]
    port: int
    launcher: Launcher
    given: Mapping[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / "server"

    def site(self, name: str) -> Path:
        return self.folder / name

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """Read the events of a site, or of the server if no site is named."""
        path = self.site(name) / "state" / "events.jsonl" if name else self.state / "run" / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def reserved(self, name: str) -> list[int]:
        """Return the round of each reservation in a site's ledger, in order."""
        lines = (self.site(name) / "state" / "ledger" / "ledger.jsonl").read_text().splitlines()
        return [entry["body"]["round"] for entry in map(json.loads, lines) if entry["kind"] == "reserve"]

    @property
    def report(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.state / "run" / "report.json").read_text())
        return document

    def assert_whole(self) -> None:
        """Check that the run has each round once, and that each site's ledger has each round's charge once."""
        rounds = list(range(1, self.loaded.training.rounds + 1))
        assert [done["round"] for done in self.report["rounds"] if done["committed"]] == rounds
        for name in self.sites:
            assert self.reserved(name) == rounds, name

    @property
    def loaded(self) -> RunConfig:
        """Return the run's config for a simulation, which holds out the records that the server's file has."""
        config = RunConfig.load(self.config)
        return config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"file": None})})

    def start(self, label: str, *arguments: str | Path, fault: str = "", misbehave: str = "") -> Process:
        log = self.folder / f"{label}-{len(self.processes)}.log"
        given = {"HUSHTUNE_FAULT": fault, "MISBEHAVE": misbehave, **self.given}
        given = {name: value for name, value in given.items() if value}
        self.processes.append(self.launcher.start([str(part) for part in arguments], log, given))
        return self.processes[-1]

    def serve(self, *more: str, fault: str = "", misbehave: str = "") -> Process:
        at = ("--listen", f"127.0.0.1:{self.port}", "--health", "127.0.0.1:0", "--json")
        arguments = ("server", self.config, "--state", self.state, *at, *more)
        return self.start("server", *arguments, fault=fault, misbehave=misbehave)

    def join(self, name: str, *more: str, fault: str = "", misbehave: str = "") -> Process:
        return self.start(name, "client", self.site(name) / "SITE.toml", *more, fault=fault, misbehave=misbehave)

    def join_all(self) -> dict[str, Process]:
        return {name: self.join(name) for name in self.sites}

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()


def until(holds: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait until a condition holds; fail with a message that names what was awaited."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)


def random_rows(count: int, seed: int) -> list[dict[str, str]]:
    """Generate records of random words, labelled by their first word."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        words = random.choice(WORDS, size=random.integers(3, 12))
        rows.append({"text": " ".join(words), "label": "yes" if words[0] < "ejdj" else "no"})
    return rows


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def split(rows: Sequence[Mapping[str, str]], config: RunConfig) -> tuple[list[Mapping[str, str]], list[Mapping[str, str]]]:
    """Split rows into training and held-out rows, as the simulator does."""
    records = [RawRecord({"text": row["text"]}, row["label"], number) for number, row in enumerate(rows)]
    parts = split_held_out(records, config.data.held_out, config.run.seed)
    training, held_out = ([rows[record.position] for record in part] for part in parts)
    return training, held_out


def build(folder: Path, tree: Mapping[str, Any], rows: Mapping[str, Rows], launcher: Launcher) -> Federation:
    """Provision a federation of the sites in ``rows`` with the commands that users run, and give each site its records.

    ``data/SITE.jsonl`` holds all rows of a site, for a simulation; the site's folder holds only its training rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config, port = folder / "run.toml", free_port()
    config.write_text(toml(tree), encoding="utf-8")
    loaded, held_out, sites = RunConfig.load(config), [], list(rows)
    (folder / "data").mkdir()
    names = [part for name in sites for part in ("--site", name)]
    server = ["--host", "127.0.0.1", "--port", str(port), "--out", str(folder / "server")]
    status, said = here(folder, ["hushtune", "provision", "server", *server, *names])
    assert status == 0, said
    for name in sites:
        write_rows(folder / "data" / f"{name}.jsonl", rows[name])
        training, held = split(rows[name], loaded)
        held_out += held
        declared = next(site.declared_size for site in loaded.data.sites if site.id == name)
        shutil.move(folder / "server" / "hand-over" / name, folder / name)
        write_rows(folder / name / "records.jsonl", training)
        fill_in(folder / name / "SITE.toml", loaded, declared)
        status, said = here(folder, ["hushtune", "provision", "site", str(folder / name)])
        assert status == 0, said
        shutil.copy(folder / name / f"{name}.pub", folder / "server" / "sites" / f"{name}.pub")
    for name in sites if loaded.adds_up_under_masks else ():
        peers = [str(folder / peer / f"{peer}.pub") for peer in sites if peer != name]
        status, said = here(folder, ["hushtune", "provision", "roster", str(folder / name), *peers])
        assert status == 0, said
    write_rows(folder / "held_out.jsonl", held_out)
    return Federation(folder, config, sites, port, launcher)


def fill_in(path: Path, config: RunConfig, declared: int) -> None:
    """Fill in a SITE.toml as a steward does; for the tiny model, which is not in the catalogue, also add its path."""
    text = path.read_text().replace("declared_size = 0 ", f"declared_size = {declared} ")
    text = text.replace("labels = [] ", f"labels = {json.dumps(config.task.labels)} ", 1)
    text = text.replace("min_records = 20 ", f"min_records = {config.cohort.min_records} ")
    text = text.replace('trust = ["local"] ', f'trust = ["{config.privacy.trust}"] ')
    text = text.replace("without_privacy = false", f"without_privacy = {str(not config.privacy.enabled).lower()}")
    if config.model.sha256:
        text = text.replace("models = [", f'models = [\n    "{config.model.sha256}",')
        text += f'\n[model.folders]\n"{config.model.name}" = "{config.model.name}"\n'
        # The random words belong to no language, so the gate's second detector would take them for names.
        text = re.sub(r"^\[policy\.anonymise\].*?\n\n", "", text, flags=re.MULTILINE | re.DOTALL)
    tomllib.loads(text)
    path.write_text(text)


def toml(tree: Mapping[str, Any]) -> str:
    """Write a nested tree of plain values as TOML."""
    return "".join(f"{key} = {value(inner)}\n" for key, inner in tree.items() if inner is not None)


def value(given: Any) -> str:
    if isinstance(given, Mapping):
        return "{" + ", ".join(f"{key} = {value(inner)}" for key, inner in given.items() if inner is not None) + "}"
    if isinstance(given, list | tuple):
        return "[" + ", ".join(value(inner) for inner in given) + "]"
    return json.dumps(given)
