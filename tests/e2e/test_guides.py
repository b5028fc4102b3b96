"""The operator's and the steward's guide are true: their commands run, in the order in which two people would run them.

Of the list of commands only the form is checked here; test_readme.py runs those that one machine can run.
"""

import json
import re
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

import hushtune

ROOT = Path(__file__).parents[2]
GUIDES = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("operator", "steward", "commands")}
SITES = ("north", "east")


def blocks(guide: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDES[guide], flags=re.MULTILINE | re.DOTALL)


def commands(guide: str) -> list[list[str]]:
    """Return the commands of a guide, block by block."""
    return [[line for line in block.splitlines() if line and line[0] != "#"] for block in blocks(guide, "sh")]


class People:
    """Two people at two machines, as two folders here; a command of theirs runs as it stands on the page.

    Servers and clients are processes of their own, started fast; what is over at once runs in this one, by the same entry
    point.
    """

    def __init__(self, folder: Path, nursery: Any, here: Any) -> None:
        self.folder, self._nursery, self._here = folder, nursery, here
        self.running: list[Any] = []
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        for person in ("operator", *SITES):
            (folder / person).mkdir()

    def words(self, line: str) -> list[str]:
        """Return the line with a name and a port of this machine."""
        line = line.replace("fed.example.org", "localhost").replace("8443", str(self.port))
        return shlex.split(line.replace("--listen 0.0.0.0", "--listen 127.0.0.1"))

    def start(self, person: str, line: str) -> Any:
        """Start a server or a client; it works in another folder than the person, so relative paths are made whole."""
        home = self.folder / person
        words = [str(home / word) if (home / word).exists() else word for word in self.words(line)[2:]]
        if "server" in line.split()[1]:
            words += ["--health", "127.0.0.1:0", "--set", f"evaluation.file={home / 'held_out.jsonl'}"]
            words += ["--set", "training.rounds=2", "--set", "evaluation.bootstrap=100"]
            words += ["--set", "privacy.epsilon=1"]  # more noise, whose privacy loss is faster to compute
        log = self.folder / f"{person}-{len(self.running)}.log"
        self.running.append(self._nursery.start([line.split()[1], *words], log, {}))
        return self.running[-1]

    def do(self, person: str, *lines: str) -> str:
        """Run lines to their end, and give what they said; each must succeed."""
        said = ""
        for line in lines:
            status, out = self.try_to(person, line)
            assert status == 0, f"{line}: {out}"
            assert "Traceback" not in out
            said += out
        return said

    def try_to(self, person: str, line: str) -> tuple[int, str]:
        """Run a line to its end: its status, and what it said."""
        words = self.words(line)
        if words[:2] == ["hushtune", "server"]:
            process = self.start(person, line)
            return process.wait(180), process.said
        if words[0] == "hushtune":
            return self._here(self.folder / person, words)
        done = subprocess.run(words, cwd=self.folder / person, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def people(tmp_path: Path, nursery: Any, harness: ModuleType) -> Iterator[People]:
    people = People(tmp_path, nursery, harness.here)
    yield people
    for process in people.running:
        if process.poll() is None:
            process.kill()


def records(path: Path, count: int, word: str) -> None:
    rows = [
        {"text": f"{word} {i} about the {'invoice' if i % 2 else 'pulse'}", "label": ("cardiology", "billing")[i % 2]}
        for i in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def until(people: People, person: str, line: str, part: str) -> str:
    """Repeat a command until its answer holds ``part``, or the person's patience ends."""
    end, said = time.monotonic() + 180, ""
    while time.monotonic() < end:
        status, said = people.try_to(person, line)
        if status == 0 and part in said:
            return said
        time.sleep(0.3)
    raise AssertionError(f"{line} never said '{part}': {said}")


def hand_over(people: People, site: str) -> None:
    """Hand the operator's folder to the steward, fill it in, and return the public key to the operator."""
    operator, steward = people.folder / "operator", people.folder / site
    shutil.move(operator / "server/hand-over" / site, steward / site)
    [filled] = blocks("steward", "toml")
    path = steward / site / "SITE.toml"
    text = re.sub(r"^\[data\]\n.*?(?=^\[policy\])", filled + "\n", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    path.write_text(text, encoding="utf-8")
    records(steward / site / "records.jsonl", 60, site)
    key, *_ = commands("steward")
    said = people.do(site, *(line.replace("north", site) for line in key))
    assert "cannot be reached now" in said  # the server is not started yet; anything wrong at the site has status 1
    shutil.copy(steward / site / f"{site}.pub", operator / f"{site}.pub")


@pytest.mark.slow
def test_an_operator_and_two_stewards_follow_their_guides_to_a_report(people: People) -> None:
    provision, admit, plan, start, look, again, renew = commands("operator")
    _, take_part, see = commands("steward")
    operator = people.folder / "operator"
    assert "in order" in people.do("operator", *provision)
    for site in SITES:
        hand_over(people, site)
    assert "in order" in people.do("operator", *admit)
    run, _ = blocks("operator", "toml")
    (operator / "run.toml").write_text(run, encoding="utf-8")
    records(operator / "held_out.jsonl", 40, "held out")
    assert "epsilon" in people.do("operator", *plan)
    server = people.start("operator", start[0])
    clients = [people.start(site, take_part[0].replace("north", site)) for site in SITES]
    until(people, "operator", look[1], '"stage": "asking"')
    assert "Sites" in people.do("operator", *look)
    assert server.wait(240) == 0, server.said
    for site in SITES:
        said = until(people, site, see[1].replace("north", site), '"outcome": "sent"')
        assert json.loads(said)["site_id"] == site
        people.do(site, *(line.replace("north", site) for line in see))
    for client in clients:
        assert client.end() == 0
    assert "departments" in people.do("operator", *again)
    assert (operator / "server/run/report.html").is_file()
    assert "in order" in people.do("operator", *renew)


def parses(words: Sequence[str]) -> bool:
    """Return whether our command line takes these words, without running anything."""
    command: click.Command | None = hushtune.command_line()
    words = list(words)
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words.pop(0))
    assert command is not None
    command.make_context("hushtune", words)
    return True


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_of_a_guide_is_one_that_we_take(guide: str) -> None:
    lines = [line for block in commands(guide) for line in block]
    assert len(lines) >= 5
    for line in lines:
        program, *words = shlex.split(line, comments=True)
        assert program in ("hushtune", "cp", "mv", "ssh-keygen")
        assert program != "hushtune" or parses(words)


@pytest.mark.parametrize("guide", GUIDES)
def test_every_file_and_option_that_a_guide_names_exists(guide: str) -> None:
    for name in re.findall(r"`(deploy/[\w.-]+)`", GUIDES[guide]):
        assert (ROOT / name).is_file()
    for block in blocks(guide, "console"):
        for name in re.findall(r"deploy/[\w.-]+", block):
            assert (ROOT / name).is_file()


def test_the_stewards_table_has_every_field_of_the_policy() -> None:
    from privacy.policy import SitePolicy

    table = GUIDES["steward"].split("## 3.")[1].split("## 4.")[0]
    first = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", first)) == set(SitePolicy.model_fields)
