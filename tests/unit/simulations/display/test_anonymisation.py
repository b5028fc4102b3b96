"""What a steward sees of the anonymiser, on a SITE.toml: report, preview, records written out and their way back."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from site_toml import site_toml

import hushtune
from shared.errors import HushtuneError

pytestmark = pytest.mark.faults  # three starts of the real anonymiser
NAMES = ("Marnie Quillfeather", "Tobias Ravenscroft", "Ludmila Oxenbury")
SITE = site_toml(
    'tasks = ["instruction", "classification"]\nmodels = []',
    "[policy.anonymise]\nmin_planted_recall = 0.5\nmax_replaced = 0.9\n[anonymise]\nworkers = 1\nreversible = true",
    declared_size="30",
    min_records="20",
    columns='{ known = ["patient"] }',
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    rows = [
        {"text": f"{NAMES[i % 3]} asked about the bill of 3 May 2021.", "label": "yes", "patient": NAMES[i % 3]}
        for i in range(30)
    ]
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "SITE.toml").write_text(SITE)
    return tmp_path / "SITE.toml"


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(hushtune.command_line(), ["anonymise", *words])
    assert isinstance(result.exception, SystemExit | HushtuneError | None), result.exception
    return result.exit_code, result.stdout + str(result.exception or "")


def shows_a_name(text: str) -> bool:
    return any(part in text for name in NAMES for part in name.split())


def test_the_report_shows_counts_alone_and_the_gate_decides_its_status(site: Path) -> None:
    status, said = run(str(site), "--report", "--json")
    found = json.loads(said)["sites"]["north"]
    assert status == 0
    assert found["records"] == 30
    assert found["planted"]["whole_spans"]["total"] == 270
    assert not shows_a_name(said)
    site.write_text(SITE.replace("0.5", "1.0"))
    status, said = run(str(site), "--report")
    assert status == 1
    assert re.search(r"planted_recall = 0\.\d+, the gate needs 1", said)
    assert "DOES NOT PASS" in said


def test_a_preview_shows_text_at_a_terminal_or_when_told_to(site: Path) -> None:
    status, said = run(str(site), "--preview", "2")
    assert status != 0
    assert not shows_a_name(said)
    status, said = run(str(site), "--preview", "2", "--yes-show-text")
    assert status == 0
    assert shows_a_name(said)
    assert "<PERSON_1> asked" in " ".join(said.split())


def test_records_that_are_written_out_lead_back_where_the_site_asked_for_it(site: Path) -> None:
    assert run(str(site), "--output", str(site.parent / "out"))[0] == 0
    written = (site.parent / "out" / "north.jsonl").read_text()
    assert not shows_a_name(written)
    status, said = run(str(site), "--reveal", "2", "--yes-show-text")
    assert status == 0
    assert re.search(rf"<PERSON_1>\W+{NAMES[1]}", said)
    assert run(str(site), "--reveal", "2")[0] != 0
