import json
from pathlib import Path

import pytest

from privacy.leakage.labelled import TERM, read_harmless, read_labelled
from shared.errors import DataError
from shared.records.types import Span

GOOD = {"text": "Ann", "spans": [{"label": "PERSON", "start": 0, "end": 3}]}


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "bad",
    [
        {"text": "zqxjvk"},
        {"text": 7, "spans": []},
        "zqxjvk",
        '["zqxjvk"]',
        '{"text": "zqxjvk", "spans": [{"label": "PERSON", "start": 0, "end": 1e999}]}',
        "[" * 100_000,
        {**GOOD, "spans": [{"label": "PERSON", "start": 0, "end": 4}]},
        {**GOOD, "spans": [{"label": "PERSON", "start": 2, "end": 2}]},
        {**GOOD, "spans": [{"label": "zqxjvk was here", "start": 0, "end": 3}]},
    ],
)
def test_a_line_of_another_form_is_refused_by_number_without_its_text(tmp_path: Path, bad: object) -> None:
    with pytest.raises(DataError, match="line 2") as caught:
        read_labelled(written(tmp_path / "f.jsonl", GOOD, bad))
    assert "zqxjvk" not in str(caught.value)


def test_labelled_texts_are_read_in_order_and_blank_lines_skipped(tmp_path: Path) -> None:
    assert read_labelled(written(tmp_path / "f.jsonl", GOOD, "", GOOD)) == [("Ann", (Span("PERSON", 0, 3),))] * 2


@pytest.mark.parametrize("read", [read_labelled, read_harmless])
def test_a_missing_or_an_empty_file_is_refused(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="holds no text"):
        read(written(tmp_path / "f", ""))


def test_marked_terms_lose_their_marks_and_keep_their_places(tmp_path: Path) -> None:
    text = "Her [[Crohn's disease]] and [[T2N0M0]] stay."
    ((plain, spans), again) = read_harmless(written(tmp_path / "h", text, {"text": text}))
    assert (plain, spans) == again
    assert plain == "Her Crohn's disease and T2N0M0 stay."
    assert [(plain[s.start : s.end], s.label) for s in spans] == [("Crohn's disease", TERM), ("T2N0M0", TERM)]


@pytest.mark.parametrize("bad", ["zqxjvk without a mark", {"words": "[[zqxjvk]]"}])
def test_a_line_without_a_marked_term_is_refused(tmp_path: Path, bad: object) -> None:
    with pytest.raises(DataError, match="line 1") as caught:
        read_harmless(written(tmp_path / "h", bad))
    assert "zqxjvk" not in str(caught.value)
