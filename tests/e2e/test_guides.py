"""The operator's and the steward's guide are true: their commands run, in the order in which two people would run them."""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import typer

import hushtune

ROOT = Path(__file__).parents[2]
GUIDES = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("operator", "steward")}
SITES = ("north", "east")


def blocks(guide: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDES[guide], flags=re.MULTILINE | re.DOTALL)


def commands(guide: str) -> list[list[str]]:
    """The commands of a guide, block by block."""
    return [[line for line in block.splitlines() if line and line[0] != "#"] for block in blocks(guide, "sh")]


class People:
    """Two people at two machines, as two folders here; a command of theirs runs as it stands on the page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as probe:
            self.port, self.health = free.getsockname()[1], probe.getsockname()[1]
        self.running: list[subprocess.Popen[str]] = []
        for person in ("operator", *SITES):
            (folder / person).mkdir()

    def words(self, line: str) -> list[str]:
        """The line with a name and a port of this machine, and our own program."""
        line = line.replace("fed.example.org", "localhost").replace("8443", str(self.port))
        line = line.replace("--listen 0.0.0.0", "--listen 127.0.0.1")
        words = shlex.split(line)
        if words[:2] == ["hushtune", "server"]:
            words += ["--health", f"127.0.0.1:{self.health}"]
        return [sys.executable, "-m", *words] if words[0] == "hushtune" else words

    def start(self, person: str, line: str) -> subprocess.Popen[str]:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(self.words(line), cwd=self.folder / person, env=environment, **streams)  # type: ignore[call-overload]
        self.running.append(process)
        return process  # type: ignore[no-any-return]

    def do(self, person: str, *lines: str) -> str:
        """Run lines to their end, and give what they said; each must succeed.

        What is over at once runs in this process, by the same entry point: only a server or client needs one of its own.
        """
        said = ""
        for line in lines:
            words = self.words(line)
            if words[2:4] == ["hushtune", "server"] or words[0] != sys.executable:
                process = self.start(person, line)
                out, _ = process.communicate(timeout=180)
                status = process.returncode
            else:
                status, out = self.here(person, words[2:])
            assert status == 0, f"{line}: {out}"
            assert "Traceback" not in out
            said += out
        return said

    def here(self, person: str, words: list[str]) -> tuple[int, str]:
        """A command in this process."""
        with contextlib.chdir(self.folder / person), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", words)
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), pytest.raises(SystemExit) as ended:
                hushtune.main()
        return int(ended.value.code or 0), said.getvalue()


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    people = People(tmp_path)
    yield people
    for process in people.running:
        if process.poll() is None:
            process.kill()
            process.wait()


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
        status, said = people.here(person, people.words(line)[2:])
        if status == 0 and part in said:
            return said
        time.sleep(0.3)
    raise AssertionError(f"{line} never said '{part}': {said}")


def hand_over(people: People, site: str) -> None:
    """The operator's folder reaches the steward, who fills it in; the public key comes back."""
    operator, steward = people.folder / "operator", people.folder / site
    shutil.move(operator / "server/hand-over" / site, steward / site)
    [filled] = blocks("steward", "toml")
    path = steward / site / "SITE.toml"
    text = re.sub(r"^\[data\]\n.*?(?=^#|^\[)", filled + "\n", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    path.write_text(text, encoding="utf-8")
    records(steward / site / "records.jsonl", 60, site)
    key, *_ = commands("steward")
    assert "in order" in people.do(site, *(line.replace("north", site) for line in key))
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
    [run] = blocks("operator", "toml")
    (operator / "run.toml").write_text(run, encoding="utf-8")
    records(operator / "held_out.jsonl", 40, "held out")
    assert "epsilon" in people.do("operator", *plan)
    server = people.start("operator", start[0])
    clients = [people.start(site, take_part[0].replace("north", site)) for site in SITES]
    until(people, "operator", look[1], '"stage": "asking"')
    assert "Sites" in people.do("operator", *look)
    out, _ = server.communicate(timeout=240)
    assert server.returncode == 0, out
    for site in SITES:
        said = until(people, site, see[1].replace("north", site), '"outcome": "sent"')
        assert json.loads(said)["site_id"] == site
        people.do(site, *(line.replace("north", site) for line in see))
    for client in clients:
        client.send_signal(signal.SIGTERM)
        assert client.wait(30) == 0
    assert "departments" in people.do("operator", *again)
    assert (operator / "server/run/report.html").is_file()
    assert "in order" in people.do("operator", *renew)


def parses(words: Sequence[str]) -> bool:
    """Whether our command line takes these words, without running anything."""
    command = typer.main.get_command(hushtune.command_line())
    words = list(words)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("hushtune", words)
    return True


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_of_a_guide_is_one_that_we_take(guide: str) -> None:
    lines = [line for block in commands(guide) for line in block]
    assert len(lines) >= 5
    for line in lines:
        program, *words = shlex.split(line)
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
