import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import Mock

import click
import pytest
from fixture_types import Said
from site_toml import site_toml
from typer import rich_utils

import hushtune
from shared.wire.version import installed

REPOSITORY = Path(__file__).parents[2]
COMMANDS = (
    *("simulate", "compare", "sweep", "trainable", "plan", "anonymise", "evaluate", "generate", "models", "report"),
    *("methods", "status", "config", "provision", "explain", "check", "export", "serve", "init"),
)


def run(arguments: Sequence[str], code: str = "import hushtune; hushtune.main()") -> subprocess.CompletedProcess[str]:
    """Run the command line in its own process."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv[1:] = {list(arguments)!r}\n{code}"],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
        timeout=60,
    )


@pytest.fixture
def here(said: Said, monkeypatch: pytest.MonkeyPatch) -> Said:
    """Run the command line in the repository's folder."""
    monkeypatch.chdir(REPOSITORY)
    return said


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import hushtune\n"
        "try: hushtune.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "sys.stderr.write(' '.join(sorted(sys.modules)))"
    )
    done = run(["--help"], code)
    assert all(command in done.stdout for command in COMMANDS)
    heavy = {"torch", "transformers", "flwr", "presidio_analyzer", "spacy", "pyarrow", "opacus", "peft", "numpy", "scipy"}
    assert not heavy & set(done.stderr.split())


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield all commands with the words that call them."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield from commands(command, (*path, name)) if isinstance(command, click.Group) else [((*path, name), command)]


@pytest.mark.parametrize(
    ("words", "command"), [pytest.param(*each, id=" ".join(each[0])) for each in commands(hushtune.command_line())]
)
def test_every_argument_and_option_is_explained_by_the_help_page(
    words: tuple[str, ...], command: click.Command, here: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With click 8.5, the help of each argument would be blank."""
    monkeypatch.setattr(rich_utils, "MAX_WIDTH", 300)  # no line is broken in the middle of a sentence
    shown = " ".join(here(*words, "--help")[1].replace("│", " ").split())
    assert f"Usage: hushtune {' '.join(words)}" in shown
    for parameter in command.params:
        help_text = getattr(parameter, "help", None)
        assert help_text, f"{parameter.name} has no help"
        assert " ".join(help_text.split()) in shown


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("led", {"ledger"}), ("init d", {"demo"}), ("provision s", {"server", "site"})],
)
def test_bash_completes_commands_of_groups_and_words(typed: str, offered: set[str], tmp_path: Path) -> None:
    program, words = tmp_path / "hushtune", typed.split()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hushtune "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    script = (
        f'eval "$(_HUSHTUNE_COMPLETE=source_bash {program})"; COMP_WORDS=(hushtune {typed}); COMP_CWORD={len(words)}; '
        f'_hushtune_completion {program}; echo "${{COMPREPLY[@]}}"'
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert (set(done.stdout.split()), done.stderr) == (offered, "")


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["clent"], "client"), (["card", "shwo"], "show"), (["provision", "sit"], "site")],
)
def test_a_misspelt_command_is_answered_with_one_suggestion(words: list[str], meant: str, here: Said) -> None:
    status, _, err = here(*words)
    assert status == 2
    assert err.count("Did you mean") == 1
    assert f"Did you mean '{meant}'?" in err


def test_a_command_whose_extra_is_missing_is_one_line_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, here: Said
) -> None:
    needs = ['nowhere; extra == "server"', 'nowhere; extra == "site"']
    monkeypatch.setattr("importlib.metadata.requires", lambda name: needs)
    for words, subject, extra in (
        (["server", "none.toml", "--state", "x"], "server", "server"),
        (["card", "show", "none"], "card show", "server"),
        (["client", "none.toml"], "client", "site"),
        (["provision", "site", "none"], "provision site", "site"),
    ):
        status, out, err = here(*words)
        assert (status, out) == (2, "")
        asked = f"hushtune {subject} needs the extra '{extra}': pip install 'hushtune[{extra}]'"
        assert err == f"hushtune: {asked}\n"
    assert here("plan", "none.toml")[2].startswith("hushtune: none.toml: cannot read the config")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["plan", "none.toml"], "none.toml: cannot read the config"),
        (["plan", "configs/demo.toml", "--set", "training.rouns=3"], "nearest is 'training.rounds'"),
        (["plan", "configs/demo.toml", "--set", "privacy.enabled=false"], "privacy.enabled = false"),
        (["card", "verify", "no-such-run"], "not a readable privacy card"),
        (["report", "no-such-run"], "no-such-run: no readable report.json"),
        (["evaluate", "no-such-adapter", "x.jsonl"], "no readable run config"),
        (["models", "--fetch", "bert"], "--fetch bert: unknown model"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments: list[str], says: str, here: Said) -> None:
    status, out, err = here(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("hushtune: ")
    assert err.count("\n") == 1
    assert says in err


def test_tables_are_printed_without_a_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "LC_ALL": "C"}.items():
        monkeypatch.setenv(name, value)
    done = run(["config", "data"])  # a table
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


ONE_STEP = ("--set", "training.rounds=1", "--set", "training.sampling_rate=1.0")  # whose noise is quickly found


@pytest.mark.slow
def test_a_plan_with_its_powers_is_printed_without_a_locale(here: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", printed)
    status, _, err = here("plan", "configs/demo.toml", *ONE_STEP)
    assert status == 0, err
    printed.flush()
    assert b"10^-" in printed.buffer.getvalue()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_the_plan_of_a_shipped_config_is_json_on_request(here: Said) -> None:
    rows = json.loads(here("plan", "configs/demo.toml", "--json", *ONE_STEP)[1])
    assert [row["site_id"] for row in rows] == ["north", "east", "south", "west"]
    assert all(7.9 < row["epsilon"] <= 8 < row["epsilon_one_more_round"] for row in rows)


@pytest.mark.slow
def test_a_broken_data_file_is_one_line_without_a_word_of_its_text(tmp_path: Path, here: Said) -> None:
    (tmp_path / "n.jsonl").write_text('{"text": "zqxjvkw", "label": "no"}\n[["zqxjvkw"\n', encoding="utf-8")
    (tmp_path / "run.toml").write_text(
        f'[task]\nlabels = ["no", "yes"]\n[data]\nroot = "{tmp_path}"\n'
        '[[data.sites]]\nid = "n"\nfile = "n.jsonl"\ndeclared_size = 100\n',
        encoding="utf-8",
    )
    status, out, err = here("anonymise", str(tmp_path / "run.toml"))
    assert status == 2
    assert "zqxjvkw" not in out + err
    assert "line 2" in err
    assert err.count("\n") == 1


def test_a_file_in_the_working_folder_is_never_run_as_code(tmp_path: Path) -> None:
    """``python -m`` would look there first, and a steward's folder may hold files that others sent."""
    for name in ("click", "typer", "rich", "pydantic", "numpy"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()", encoding="utf-8")
    for command in (["--help"], ["config", "privacy"]):
        done = subprocess.run(
            [sys.executable, "-m", "hushtune", *command],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


def test_the_version_is_one_line(here: Said) -> None:
    status, out, err = here("--version")
    assert (status, out, err) == (0, f"hushtune {installed()}\n", "")


def test_windows_is_refused_in_one_sentence(here: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    status, out, err = here("--help")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "WSL 2" in err


MORE_MEMORY = "no more memory; raise its limit (ulimit -v"
MORE_ROOM = "No space left on device; make room on the disk, then start the same command again"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), MORE_MEMORY),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), MORE_MEMORY),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8"), MORE_MEMORY),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), MORE_ROOM),
    ],
)
def test_too_little_memory_or_room_on_the_disk_ends_in_one_sentence_that_says_what_to_do(
    here: Said, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    monkeypatch.setattr(hushtune, "command_line", Mock(side_effect=error))
    status, out, err = here("--help")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_any_other_error_keeps_its_trace(here: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hushtune, "command_line", Mock(side_effect=ImportError("no module named x")))
    with pytest.raises(ImportError, match="no module named x"):
        here("--help")


@pytest.mark.slow
def test_a_process_under_a_small_limit_of_memory_says_so() -> None:
    code = "import hushtune, resource; resource.setrlimit(resource.RLIMIT_AS, (4 * 10**8,) * 2); hushtune.main()"
    done = run(["plan", "configs/demo.toml"], code)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "no more memory" in done.stderr


@pytest.mark.slow
def test_a_client_without_its_key_is_refused_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    (tmp_path / "SITE.toml").write_text(site_toml('tasks = ["classification"]\nmodels = []'))
    code = "import hushtune\ntry: hushtune.main()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = run(["client", str(tmp_path / "SITE.toml")], code)
    assert done.returncode == 2
    assert "site.key: cannot be read" in done.stderr
    assert not {"torch", "flwr", "transformers", "spacy"} & set(done.stderr.split())
