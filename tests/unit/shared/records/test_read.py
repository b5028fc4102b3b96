import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fixture_types import ConfigOf, Read, Refusal, Refused
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigError
from shared.records import read as module
from shared.records.row import Row
from shared.records.types import RawRecord, Span

MARKER = "zqxjvkwpatient"
LABELS = [["01", "02"], ["NA", "EU"], ["true", "false"], ["1e3", "1000"], ["0", "1"], ["nan", "null"]]
ROWS: Sequence[dict[str, Any]] = [
    {"text": "I can't sleep, since Monday", "label": "yes"},
    {"text": 'She said "no"\nand left', "label": "no"},
    {"text": "Größe \N{SNOWMAN} 12", "label": "yes"},
]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_file_gives_its_records_in_order(read: Read, suffix: str) -> None:
    found = read(ROWS, suffix=suffix)
    assert found == [RawRecord({"text": row["text"]}, row["label"], position) for position, row in enumerate(ROWS, start=1)]
    assert "sleep" not in repr(found)


def test_columns_are_mapped(read: Read) -> None:
    found = read([{"body": "hello", "class": "no", "extra": 3}], {"data.columns": {"text": "body", "label": "class"}})
    assert found == [RawRecord({"text": "hello"}, "no", 1)]


def test_several_columns_and_nested_values_are_written_out_with_their_names(read: Read) -> None:
    row = {"subject": "pills", "body": {"from": {"name": "Ann"}, "lines": ["one", 2]}, "label": "no"}
    (both,) = read([row], {"data.columns.text": ["subject", "body"]})
    assert both.fields["text"] == "subject: pills\nbody from name: Ann\nbody lines: one\nbody lines: 2"
    (nested,) = read([row], {"data.columns.text": "body"})
    assert nested.fields["text"] == "from name: Ann\nlines: one\nlines: 2"


def test_known_columns_and_the_person_are_kept_to_be_looked_for(read: Read, refusal: Refusal) -> None:
    row = {"text": "hello", "label": "no", "who": "p7", "contact": {"name": "Ann", "phones": [5550123, None]}}
    (record,) = read([row], {"data.columns.known": ["contact"], "data.columns.person": "who"})
    assert record.known == ("Ann", "5550123", "p7")
    assert "Ann" not in repr(record)
    assert "no column 'name'" in refusal([row], {"data.columns.known": ["name"]})


def test_spans_of_several_columns_are_refused(config_of: ConfigOf) -> None:
    with pytest.raises(ConfigError, match="counts characters of one column"):
        config_of({"data.columns": {"text": ["a", "b"], "spans": "spans"}})


def test_an_instruction_has_two_fields_and_no_label(read: Read) -> None:
    found = read([{"instruction": "ask", "response": "answer"}], {"task": {"name": "instruction"}})
    assert found == [RawRecord({"instruction": "ask", "response": "answer"}, None, 1)]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_true_spans_are_read_when_they_are_mapped(read: Read, suffix: str) -> None:
    spans = [{"label": "NAME", "start": 3, "end": 6}]
    rows = [{"text": "is Ann", "label": "no", "spans": spans}, {"text": "x", "label": "no", "spans": []}]
    found = read(rows, {"data.columns.spans": "spans"}, suffix)
    assert [record.spans for record in found] == [{"text": (Span("NAME", 3, 6),)}, {"text": ()}]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_numeric_label_falls_into_its_bin_and_others_and_a_missing_one_are_left_out(read: Read, suffix: str) -> None:
    scores = [-4.0, -0.5, -0.4, 0.0, 0.5, 4.0, 4.1, None]
    rows = [{"text": f"t{number}", "label": score} for number, score in enumerate(scores)]
    bins = [{"label": "no", "low": -4.0, "high": -0.5}, {"label": "yes", "low": 0.5, "high": 4.0}]
    found = read(rows, {"data.label_bins": bins}, suffix)
    assert [(record.position, record.label) for record in found] == [(1, "no"), (2, "no"), (5, "yes"), (6, "yes")]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("labels", LABELS)
def test_a_label_is_what_the_file_writes(read: Read, suffix: str, labels: list[str]) -> None:
    rows = [{"text": "a", "label": labels[0]}, {"text": "b", "label": labels[1]}]
    assert [record.label for record in read(rows, {"task.labels": labels}, suffix)] == labels


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("missing", [None, "", " ", "NA", "n/a", "null"])
def test_a_missing_label_holds_back_its_own_record(read: Read, suffix: str, missing: str | None) -> None:
    rows = [{"text": f"text {number}", "label": missing if number == 8 else str(number % 2)} for number in range(1, 12)]
    found = read(rows, {"task.labels": ["0", "1"]}, suffix)
    assert [record.position for record in found if record.lacks] == [8]
    assert [record.label for record in found] == ["1", "0", "1", "0", "1", "0", "1", None, "1", "0", "1"]


def test_a_wrong_label_is_blamed_on_its_own_row(refusal: Refusal) -> None:
    rows = [{"text": f"{MARKER} {number}", "label": "2" if number == 8 else str(number % 2)} for number in range(1, 12)]
    for suffix, place in {".csv": "line 9, record 8", ".jsonl": "line 8, record 8", ".parquet": "record 8"}.items():
        assert f"{place}: its label" in refusal(rows, {"task.labels": ["0", "1"]}, suffix)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize(("cell", "text"), [(None, ""), ("", ""), ("NA", "NA"), ("null", "null"), ("None", "None")])
def test_an_empty_text_is_one_empty_record_and_a_word_stays_text(
    read: Read, suffix: str, cell: str | None, text: str
) -> None:
    found = read([ROWS[0], {"text": cell, "label": "no"}, ROWS[2]], suffix=suffix)
    assert [record.fields["text"] for record in found] == [ROWS[0]["text"], text, ROWS[2]["text"]]


def test_an_object_may_leave_a_column_out(read: Read) -> None:
    rows = [{"label": "no"}, {"text": "a"}, {"text": "b", "label": "yes", "mrn": "1"}, {"text": "c", "label": "no"}]
    found = read(rows, {"data.columns.known": ["mrn"]})
    assert [record.fields["text"] for record in found] == ["", "a", "b", "c"]
    assert [record.lacks for record in found] == [None, "label", None, None]


@pytest.mark.parametrize(("suffix", "numbers"), [(".jsonl", (0, 1)), (".csv", (0, 1)), (".parquet", (0.0, 1.0))])
def test_a_whole_number_is_a_label_that_a_gap_in_its_column_does_not_change(
    read: Read, suffix: str, numbers: tuple[float, float]
) -> None:
    found = read([{"text": "a", "label": number} for number in numbers], {"task.labels": ["0", "1"]}, suffix)
    assert [record.label for record in found] == ["0", "1"]


def test_a_long_text_is_cut_at_a_space(read: Read) -> None:
    found = read([{"text": text, "label": "no"} for text in ("word " * 50, "x" * 100)], {"data.cut_chars": 23})
    assert [record.fields["text"] for record in found] == ["word word word word", "x" * 23]


@given(st.text(max_size=60), st.integers(16, 40))
def test_a_cut_is_a_beginning_that_fits_and_breaks_no_word_it_can_keep(text: str, limit: int) -> None:
    cut = module._cut(text, limit)
    assert text.startswith(cut)
    assert len(cut) <= limit
    if len(text) <= limit:
        assert cut == text
    elif " " in text[limit // 2 : limit]:
        assert text[len(cut)] == " "


@pytest.mark.parametrize("label", [MARKER, "3,5", "1_0", "nan", True, [3]])
def test_a_label_that_is_no_number_is_refused_with_bins(refusal: Refusal, label: Any) -> None:
    said = refusal([{"text": MARKER, "label": label}], {"data.label_bins": [{"label": "no", "low": 0.0, "high": 9.0}]})
    assert "record 1: column 'label' is not a number" in said


def test_labels_outside_every_bin_leave_no_usable_record(refusal: Refusal) -> None:
    said = refusal([{"text": MARKER, "label": 5.0}], {"data.label_bins": [{"label": "no", "low": 0.0, "high": 1.0}]})
    assert "no usable record" in said


@pytest.mark.parametrize(
    "spans", [MARKER, [[1, 2]], [{"label": "X"}], *([{"label": "X", "start": s, "end": 2}] for s in (MARKER, math.inf)), 3]
)
def test_spans_of_another_form_are_refused(refusal: Refusal, spans: Any) -> None:
    said = refusal([{"text": MARKER, "label": "no", "spans": spans}], {"data.columns.spans": "spans"})
    assert "record 1: column 'spans'" in said


def test_values_too_deep_in_each_other_are_refused(
    tmp_path: Path, config_of: ConfigOf, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep: Any = MARKER
    for _ in range(5000):
        deep = [deep]
    monkeypatch.setattr(module, "rows_of", lambda path, wanted: [Row("record 1", {"text": deep, "label": "no"})])
    assert "record 1: holds lists or objects in each other" in refused(tmp_path / "n.jsonl", config_of())


def test_a_column_mapped_to_nothing_names_its_field(refusal: Refusal) -> None:
    assert "set data.columns.text" in refusal(ROWS, {"data.columns.text": "body"})


def test_the_declared_group_is_read_where_the_config_names_its_column(read: Read) -> None:
    rows = [{**ROWS[0], "ward": 7}, {**ROWS[1], "ward": None}]
    named = read(rows, {"evaluation.probes": {"group": "ward"}})
    assert [record.group for record in named] == ["7", None]
    assert [record.group for record in read(rows)] == [None, None]
    assert [record.group for record in read(rows, {"evaluation.probes": {"group": "sex"}})] == [None, None]
    assert "ward" not in repr(named[0])
