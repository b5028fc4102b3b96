import json
from pathlib import Path

import pytest
from site_toml import site_toml
from typer.testing import CliRunner

from client.commands import app
from client.file_check import Asked, check_file
from shared.errors import ConfigError

MARKER = "zqxjvkwpatient"
SITE = site_toml('tasks = ["classification"]\nmodels = []', file='"n.csv"', columns='{ label = "kind", person = "pid" }')
ROWS = f"""text;kind;pid;note
{MARKER} aia;no;1;x
{MARKER} aia aia;yes;1;
;yes;2;x
{MARKER};;3;x
{MARKER};no;NA;x
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "SITE.toml").write_text(SITE)
    (tmp_path / "n.CSV").write_bytes(ROWS.encode("utf-16"))
    return tmp_path / "n.CSV", tmp_path / "SITE.toml"


def test_the_form_columns_labels_and_what_is_held_back_are_said(files: tuple[Path, Path]) -> None:
    file, site = files
    found = check_file(file, Asked.load(site, []), 100)
    assert (found["format"], found["encoding"], found["delimiter"]) == ("csv", "UTF-16", "semicolon")
    assert (found["records"], found["whole"], found["problem"]) == (5, True, None)
    assert found["columns"]["kind"] == {"field": "data.columns.label", "types": {"text": 4}, "empty": 1}
    assert (found["labels"], found["persons"]) == ({"no": 2, "yes": 2}, 3)
    assert found["held_back"] == {"empty": 1, "no label": 1, "no person": 1}
    assert (found["not_read"], found["tokens"]) == (["note"], None)


def test_the_languages_of_the_records_are_counted(files: tuple[Path, Path]) -> None:
    file, site = files
    texts = ["the patient was seen in the morning and he is well", "der Patient war am Morgen da und es geht ihm gut", "ok"]
    file.write_text("text;kind;pid\n" + "".join(f"{text};no;{number}\n" for number, text in enumerate(texts)))
    found = check_file(file, Asked.load(site, []), 100)
    assert found["languages"] == {"asked": "en", "found": {"en": 1, "de": 1, "not sure": 1}}
    shown = CliRunner().invoke(app, ["check", str(file), str(site)])
    assert "Languages: en 1, de 1, not sure 1; anonymise.language = 'en'." in shown.stdout


def test_no_more_than_the_beginning_is_read(files: tuple[Path, Path]) -> None:
    file, site = files
    found = check_file(file, Asked.load(site, []), 2)
    assert (found["records"], found["whole"], found["labels"]) == (2, False, {"no": 1, "yes": 1})


def test_with_a_runs_config_lengths_are_counted_in_tokens_of_its_model(tmp_path: Path, tiny_bert: Path) -> None:
    rows = [{"text": "aia " * count, "label": "no", f"name {count}": 1} for count in (1, 2, 3, 20)]
    (tmp_path / "n.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "run.toml").write_text(
        f'[model]\nname = "{tiny_bert}"\nmax_length = 8\n[task]\nlabels = ["no", "yes"]\n'
        '[data]\nsites = { count = 1, file = "n.jsonl", declared_size = 9 }\n'
    )
    found = check_file(tmp_path / "n.jsonl", Asked.load(tmp_path / "run.toml", []), 100)
    assert found["tokens"] == {"median": 4, "most": 5, "longest": 22, "limit": 8, "cut": 1}
    assert found["not_read"] == []  # names that few objects have may be values
    unknown = check_file(tmp_path / "n.jsonl", Asked.load(tmp_path / "run.toml", ["model.name=none"]), 100)
    assert "unknown model" in unknown["tokens"]["unknown"]


def test_the_command_says_it_without_a_word_of_the_records(files: tuple[Path, Path]) -> None:
    file, site = files
    done = CliRunner().invoke(app, ["check", str(file), str(site)])
    assert done.exit_code == 0, done.output
    assert "csv, UTF-16, separated by semicolons" in done.output
    assert "Held back: empty 1, no label 1, no person 1." in done.output
    assert MARKER not in done.output


def test_a_file_that_a_run_would_refuse_ends_with_its_sentence_and_status_1(files: tuple[Path, Path]) -> None:
    file, site = files
    file.write_text(f"{MARKER},no\n{MARKER},yes\n")
    done = CliRunner().invoke(app, ["check", str(file), str(site)])
    assert done.exit_code == 1
    assert "A run refuses it:" in done.output
    assert "no column 'text' among the file's 2" in " ".join(done.output.split())
    assert MARKER not in done.output


def test_a_site_without_a_task_is_refused(files: tuple[Path, Path]) -> None:
    _, site = files
    site.write_text(SITE.replace('tasks = ["classification"]', "tasks = []"))
    with pytest.raises(ConfigError, match=r"policy\.tasks"):
        Asked.load(site, [])
