import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
COMMANDS = (
    *("simulate", "compare", "sweep", "trainable", "plan", "anonymise", "evaluate", "generate", "models", "report"),
    *("status", "provision", "explain"),
)


def run(arguments: Sequence[str], code: str = "import hushtune; hushtune.main()") -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv[1:] = {list(arguments)!r}\n{code}"],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
        timeout=60,
    )


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import hushtune\n"
        "try: hushtune.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "sys.stderr.write(' '.join(sorted(sys.modules)))"
    )
    done = run(["--help"], code)
    assert all(command in done.stdout for command in COMMANDS)
    heavy = {
        "torch",
        "transformers",
        "flwr",
        "presidio_analyzer",
        "spacy",
        "datasets",
        "opacus",
        "peft",
        "numpy",
        "scipy",
    }
    assert not heavy & set(done.stderr.split())


def test_every_command_explains_itself() -> None:
    for command in (
        *COMMANDS,
        "card",
        "card show",
        "card verify",
        "review",
        "review export",
        "review serve",
        "review score",
    ):
        done = run([*command.split(), "--help"])
        assert done.returncode == 0
        assert "Usage" in done.stdout
        assert command in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["plan", "none.toml"], "none.toml: cannot read the config"),
        (["plan", "configs/demo.toml", "--set", "training.rouns=3"], "nearest is 'training.rounds'"),
        (["plan", "configs/demo.toml", "--set", "privacy.enabled=false"], "privacy.enabled = false"),
        pytest.param(*(["card", "verify", "no-such-run"], "no readable privacy card"), marks=pytest.mark.slow),
        pytest.param(*(["report", "no-such-run"], "no-such-run: no readable report.json"), marks=pytest.mark.slow),
        pytest.param(*(["evaluate", "no-such-adapter", "x.jsonl"], "no readable run config"), marks=pytest.mark.slow),
        pytest.param(*(["models", "--fetch", "bert"], "--fetch bert: unknown model"), marks=pytest.mark.slow),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments: list[str], says: str) -> None:
    done = run(arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("hushtune: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


@pytest.mark.slow
def test_the_plan_of_a_shipped_config_is_json_on_request() -> None:
    done = run(["plan", "configs/demo.toml", "--json", "--set", "training.rounds=1", "--set", "training.sampling_rate=1.0"])
    rows = json.loads(done.stdout)
    assert [row["site_id"] for row in rows] == ["north", "east", "south", "west"]
    assert all(7.9 < row["epsilon"] <= 8 < row["epsilon_one_more_round"] for row in rows)


@pytest.mark.slow
def test_a_broken_data_file_is_one_line_without_a_word_of_its_text(tmp_path: Path) -> None:
    (tmp_path / "n.jsonl").write_text('{"text": "zqxjvkw", "label": "no"}\n[["zqxjvkw"\n', encoding="utf-8")
    (tmp_path / "run.toml").write_text(
        f'[task]\nlabels = ["no", "yes"]\n[data]\nroot = "{tmp_path}"\n'
        '[[data.sites]]\nid = "n"\nfile = "n.jsonl"\ndeclared_size = 100\n',
        encoding="utf-8",
    )
    done = run(["anonymise", str(tmp_path / "run.toml")])
    assert done.returncode == 2
    assert "zqxjvkw" not in done.stdout + done.stderr
    assert "line 2" in done.stderr
    assert done.stderr.count("\n") == 1
