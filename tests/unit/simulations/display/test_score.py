"""The command ``score-pii`` on detectors that are made up; the real ones are measured by the bench."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import hushtune
from privacy.detect.findings import Finding
from privacy.leakage import comparison
from privacy.leakage.labelled import Texts
from privacy.leakage.score import Marked
from shared.config.anonymise import AnonymiseSection
from shared.errors import HushtuneError

ROW = {"text": "Zqxjvk is 41", "spans": [{"label": "PERSON", "start": 0, "end": 6}]}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two files, with a stock detector that finds nothing and one of ours that finds the first word."""

    def ours(section: AnonymiseSection) -> comparison.Detector:
        assert section.level == "strict"
        return lambda texts: found(texts, [Finding("PERSON", 0, 6, 1.0)])

    monkeypatch.setattr(comparison, "stock", lambda section: lambda texts: found(texts, []))
    monkeypatch.setattr(comparison, "ours", ours)
    labelled, harmless = tmp_path / "f.jsonl", tmp_path / "h.txt"
    labelled.write_text(json.dumps(ROW) + "\n")
    harmless.write_text("Zqxjvk [[disease]]\n[[Zqxjvk]] disease\n")
    return str(labelled), str(harmless)


def found(texts: Texts, findings: list[Finding]) -> list[Marked]:
    return [Marked(text, spans, findings) for text, spans in texts]


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(hushtune.command_line(), ["score-pii", *words])
    assert isinstance(result.exception, SystemExit | HushtuneError | None), result.exception
    return result.exit_code, result.output + str(result.exception or "")


def test_both_detectors_are_scored_in_one_run_and_no_text_is_printed(files: tuple[str, str]) -> None:
    status, said = run(files[0], "--harmless", files[1], "--level", "strict", "--json")
    stock, ours = json.loads(said)["rows"]
    assert status == 0
    assert (stock["direct_identifiers"]["value"], ours["direct_identifiers"]["value"]) == (0, 1)
    assert ours["harmless_terms_touched"]["found"] == 1
    assert ours["confusion"] == {"PERSON": {"PERSON": 1}}
    status, shown = run(files[0], "--harmless", files[1], "--level", "strict")
    assert status == 0
    assert "harmless terms touched" in shown
    assert "Zqxjvk" not in said + shown


def test_a_level_or_a_setting_that_does_not_exist_is_refused_in_one_sentence(files: tuple[str, str]) -> None:
    status, said = run(files[0], "--level", "harsh")
    assert status
    assert "anonymise.level" in said
    status, said = run(files[0], "--set", "task.name=x")
    assert status
    assert "name a field of [anonymise]" in said
