import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import records as module
from shared.config import RunConfig
from shared.errors import ConfigError, DataError
from shared.record import RawRecord, Span
from shared.records import read_records

ConfigOf = Callable[..., RunConfig]
MARKER = "zqxjvkwpatient"
ROWS: Sequence[dict[str, Any]] = [
    {"text": "I can't sleep, since Monday", "label": "yes"},
    {"text": 'She said "no"\nand left', "label": "no"},
    {"text": "Größe \N{SNOWMAN} 12", "label": "yes"},
]


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test may touch the user's dataset cache."""
    import datasets

    folder = tmp_path / "hf"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    return folder


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".csv":
        import csv

        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error with all that it came from, hidden or not."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            todo += [one.__cause__, one.__context__]


def refused(path: Path, config: RunConfig) -> str:
    """The one line that says why a file is refused, after checking that no record's text is in it or behind it."""
    with pytest.raises(DataError) as caught:
        read_records(path, config)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    for error in chain(caught.value):
        assert MARKER not in f"{error} {error.args}", f"{type(error).__name__} quotes the text"
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_file_gives_its_records_in_order(tmp_path: Path, config_of: ConfigOf, suffix: str) -> None:
    found = read_records(write(tmp_path / f"north{suffix}", ROWS), config_of())
    assert found == [RawRecord({"text": row["text"]}, row["label"], position) for position, row in enumerate(ROWS, start=1)]
    assert "sleep" not in repr(found)


def test_columns_are_mapped(tmp_path: Path, config_of: ConfigOf) -> None:
    path = write(tmp_path / "n.jsonl", [{"body": "hello", "class": "no", "extra": 3}])
    config = config_of({"data.columns": {"text": "body", "label": "class"}})
    assert read_records(path, config) == [RawRecord({"text": "hello"}, "no", 1)]


def test_several_columns_and_nested_values_are_written_out_with_their_names(tmp_path: Path, config_of: ConfigOf) -> None:
    row = {"subject": "pills", "body": {"from": {"name": "Ann"}, "lines": ["one", 2]}, "label": "no"}
    path = write(tmp_path / "n.jsonl", [row])
    (both,) = read_records(path, config_of({"data.columns.text": ["subject", "body"]}))
    assert both.fields["text"] == "subject: pills\nbody from name: Ann\nbody lines: one\nbody lines: 2"
    (nested,) = read_records(path, config_of({"data.columns.text": "body"}))
    assert nested.fields["text"] == "from name: Ann\nlines: one\nlines: 2"


def test_a_record_is_known_again_when_columns_are_mapped_beside_its_own(tmp_path: Path, config_of: ConfigOf) -> None:
    path = write(tmp_path / "n.csv", [{"a": "short", "b": "a long text of the record", "label": "no"}])
    (one,) = read_records(path, config_of({"data.columns.text": ["b"]}))
    (two,) = read_records(path, config_of({"data.columns.text": ["a", "b"]}))
    assert set(one.origin) & set(two.origin)


def test_known_columns_and_the_person_are_kept_to_be_looked_for(tmp_path: Path, config_of: ConfigOf) -> None:
    row = {"text": "hello", "label": "no", "who": "p7", "contact": {"name": "Ann", "phones": [5550123, None]}}
    path = write(tmp_path / "n.jsonl", [row])
    (record,) = read_records(path, config_of({"data.columns.known": ["contact"], "data.columns.person": "who"}))
    assert record.known == ("Ann", "5550123", "p7")
    assert "Ann" not in repr(record)
    assert "no column 'name'" in refused(path, config_of({"data.columns.known": ["name"]}))


def test_spans_of_several_columns_are_refused(config_of: ConfigOf) -> None:
    with pytest.raises(ConfigError, match="counts characters of one column"):
        config_of({"data.columns": {"text": ["a", "b"], "spans": "spans"}})


def test_an_instruction_has_two_fields_and_no_label(tmp_path: Path, config_of: ConfigOf) -> None:
    path = write(tmp_path / "n.jsonl", [{"instruction": "ask", "response": "answer"}])
    found = read_records(path, config_of({"task": {"name": "instruction"}}))
    assert found == [RawRecord({"instruction": "ask", "response": "answer"}, None, 1)]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_true_spans_are_read_when_they_are_mapped(tmp_path: Path, config_of: ConfigOf, suffix: str) -> None:
    spans = [{"label": "NAME", "start": 3, "end": 6}]
    path = write(
        tmp_path / f"n{suffix}",
        [{"text": "is Ann", "label": "no", "spans": spans}, {"text": "x", "label": "no", "spans": []}],
    )
    found = read_records(path, config_of({"data.columns.spans": "spans"}))
    assert [record.spans for record in found] == [{"text": (Span("NAME", 3, 6),)}, {"text": ()}]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_numeric_label_falls_into_its_bin_and_others_are_left_out(
    tmp_path: Path, config_of: ConfigOf, suffix: str
) -> None:
    scores = [-4.0, -0.5, -0.4, 0.0, 0.5, 4.0, 4.1]
    path = write(tmp_path / f"n{suffix}", [{"text": f"t{i}", "label": score} for i, score in enumerate(scores)])
    config = config_of(
        {"data.label_bins": [{"label": "no", "low": -4.0, "high": -0.5}, {"label": "yes", "low": 0.5, "high": 4.0}]}
    )
    found = read_records(path, config)
    assert [(record.position, record.label) for record in found] == [(1, "no"), (2, "no"), (5, "yes"), (6, "yes")]


def test_a_missing_numeric_label_lies_in_no_bin_or_is_refused(tmp_path: Path, config_of: ConfigOf) -> None:
    path = tmp_path / "n.csv"
    path.write_text(f"text,label\n{MARKER},1.0\n{MARKER},\n", encoding="utf-8")
    config = config_of({"data.label_bins": [{"label": "no", "low": 0.0, "high": 9.0}]})
    try:
        assert [record.position for record in read_records(path, config)] == [1]
    except DataError as error:
        assert "record 2" in str(error)


def test_a_whole_number_may_be_a_label(tmp_path: Path, config_of: ConfigOf) -> None:
    for suffix in (".jsonl", ".csv"):
        path = write(tmp_path / f"n{suffix}", [{"text": "a", "label": 0}, {"text": "b", "label": 1}])
        assert [r.label for r in read_records(path, config_of({"task.labels": ["0", "1"]}))] == ["0", "1"]


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path, config_of: ConfigOf) -> None:
    for suffix in (".csv", ".jsonl"):
        path = write(tmp_path / f"n{suffix}", ROWS)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert [record.label for record in read_records(path, config_of())] == ["yes", "no", "yes"]


def test_a_long_text_is_cut_at_a_space(tmp_path: Path, config_of: ConfigOf) -> None:
    path = write(tmp_path / "n.jsonl", [{"text": "word " * 50, "label": "no"}, {"text": "x" * 100, "label": "no"}])
    config = config_of({"data.cut_chars": 23})
    assert [record.fields["text"] for record in read_records(path, config)] == ["word word word word", "x" * 23]


@given(st.text(max_size=60), st.integers(16, 40))
def test_a_cut_is_a_beginning_that_fits_and_breaks_no_word_it_can_keep(text: str, limit: int) -> None:
    cut = module._cut(text, limit)
    assert text.startswith(cut)
    assert len(cut) <= limit
    if len(text) <= limit:
        assert cut == text
    elif " " in text[limit // 2 : limit]:
        assert text[len(cut)] == " "


def jsonl(*lines: str) -> bytes:
    return "".join(line + "\n" for line in lines).encode()


GOOD = json.dumps({"text": MARKER, "label": "no"})
BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "an empty file": ("n.jsonl", b"", "the file is empty"),
    "an empty parquet": ("n.parquet", b"", "the file is empty"),
    "blank lines alone": ("n.jsonl", b"\n\n", "n.jsonl"),
    "a header alone": ("n.csv", b"text,label\n", "no usable record"),
    "an unknown suffix": ("n.xlsx", MARKER.encode(), "unknown format '.xlsx'"),
    "no suffix": ("records", MARKER.encode(), "unknown format"),
    "a binary csv": ("n.csv", b"text,label\n" + MARKER.encode() + b"\x00,no\n", "NUL at byte 25"),
    "a binary jsonl": ("n.jsonl", GOOD.encode() + b"\x00", "NUL at byte"),
    "latin-1 text": ("n.csv", b"text,label\n" + MARKER.encode() + b" caf\xe9 au lait,no\n", "not UTF-8 near byte"),
    "a cut character at the end": ("n.jsonl", GOOD.encode() + b"\xe2\x82", "not UTF-8"),
    "utf-16 text": ("n.csv", f"text,label\n{MARKER},no\n".encode("utf-16"), "n.csv"),
    "a truncated line": ("n.jsonl", jsonl(GOOD, GOOD[:-8]), "line 2"),
    "a line that is no object": ("n.jsonl", jsonl(GOOD, json.dumps(MARKER)), "line 2"),
    "two objects a line": ("n.jsonl", jsonl(GOOD, f"{GOOD} {MARKER}"), "line 2"),
    "a column that is not there": ("n.jsonl", jsonl(json.dumps({"txt": MARKER, "label": "no"})), "no column 'text'"),
    "no label column": ("n.jsonl", jsonl(json.dumps({"text": MARKER})), "no column 'label'"),
    "a csv without a header": ("n.csv", f"{MARKER},no\n{MARKER} two,yes\n".encode(), "no column 'text'"),
    "a text as a column name": ("n.jsonl", jsonl(json.dumps({MARKER: 1, "label": "no"})), "no column 'text'"),
    "a number for a text": (
        "n.jsonl",
        jsonl(json.dumps({"text": 12, "label": "no"})),
        "record 1: column 'text' holds int",
    ),
    "no text in one record": ("n.jsonl", jsonl(GOOD, json.dumps({"text": None, "label": "no"})), "record 2"),
    "a label outside the set": (
        "n.jsonl",
        jsonl(GOOD, json.dumps({"text": "a", "label": MARKER})),
        "record 2: its label",
    ),
    "mixed types": ("n.jsonl", jsonl(GOOD, json.dumps({"text": {"a": MARKER}, "label": 3})), "n.jsonl"),
    "a csv of ragged rows": ("n.csv", f'text,label\n{MARKER},no\n{MARKER},no,{MARKER},"more"\n'.encode(), "n.csv"),
    "a csv with an open quote": ("n.csv", f'text,label\n"{MARKER},no\n{MARKER},no\n'.encode(), "n.csv"),
    "a parquet that is none": ("n.parquet", b"PAR1" + MARKER.encode(), "not readable as parquet"),
    "nested brackets": ("n.jsonl", jsonl(GOOD, "[" * 100_000), "n.jsonl"),
}


@pytest.mark.parametrize(("name", "content", "says"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_is_one_line_without_a_word_of_its_text(
    tmp_path: Path, config_of: ConfigOf, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert says in refused(tmp_path / name, config_of())


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path, config_of: ConfigOf) -> None:
    assert "no such file" in refused(tmp_path / "none.jsonl", config_of())
    (tmp_path / "folder.jsonl").mkdir()
    assert "no such file" in refused(tmp_path / "folder.jsonl", config_of())


@pytest.mark.parametrize("label", [MARKER, "3", True, None])
def test_a_label_that_is_no_number_is_refused_with_bins(tmp_path: Path, config_of: ConfigOf, label: Any) -> None:
    path = write(tmp_path / "n.jsonl", [{"text": MARKER, "label": label}])
    assert "record 1: column 'label' is no number" in refused(
        path, config_of({"data.label_bins": [{"label": "no", "low": 0.0, "high": 9.0}]})
    )


def test_labels_outside_every_bin_leave_no_usable_record(tmp_path: Path, config_of: ConfigOf) -> None:
    path = write(tmp_path / "n.jsonl", [{"text": MARKER, "label": 5.0}])
    assert "no usable record" in refused(path, config_of({"data.label_bins": [{"label": "no", "low": 0.0, "high": 1.0}]}))


@pytest.mark.parametrize("spans", [MARKER, [[1, 2]], [{"label": "X"}], [{"label": "X", "start": MARKER, "end": 2}], 3])
def test_spans_of_another_form_are_refused(tmp_path: Path, config_of: ConfigOf, spans: Any) -> None:
    path = write(tmp_path / "n.jsonl", [{"text": MARKER, "label": "no", "spans": spans}])
    assert "record 1: column 'spans'" in refused(path, config_of({"data.columns.spans": "spans"}))


def test_a_column_mapped_to_nothing_names_its_field(tmp_path: Path, config_of: ConfigOf) -> None:
    path = write(tmp_path / "n.jsonl", ROWS)
    assert "set data.columns.text" in refused(path, config_of({"data.columns.text": "body"}))


def test_reading_leaves_no_copy_of_the_text_on_the_disk(tmp_path: Path) -> None:
    rows = [{"text": f"{MARKER} {i}", "label": "no"} for i in range(50)]
    paths = [str(write(tmp_path / f"north{suffix}", rows)) for suffix in (".jsonl", ".csv", ".parquet")]
    caches = tmp_path / "caches"
    code = (
        "import sys; from pathlib import Path; from shared.records import read_records; "
        "from shared.config import RunConfig; "
        "tree = {'task': {'labels': ['no', 'yes']}, 'data': {'sites': [{'id': 'n', 'file': 'n.csv', 'declared_size': 9}]}}; "
        "print(*(len(read_records(Path(path), RunConfig.parse(tree, 't'))) for path in sys.argv[1:]), flush=True)"
    )
    places = {
        "HF_HOME": caches / "hf",
        "HF_DATASETS_CACHE": caches / "datasets",
        "TMPDIR": caches,
        "XDG_CACHE_HOME": caches,
    }
    caches.mkdir()
    environment = {**os.environ, **{name: str(place) for name, place in places.items()}}
    done = subprocess.run([sys.executable, "-c", code, *paths], env=environment, check=False, capture_output=True, text=True)
    assert done.stdout == "50 50 50\n", done.stderr  # the status is Arrow's threads', which now and then abort at the end
    left = [file for file in caches.rglob("*") if file.is_file()]
    assert not [file for file in left if MARKER.encode() in file.read_bytes()]
    assert not [file for file in left if file.suffix in (".arrow", ".parquet", ".csv", ".jsonl")]


def test_the_declared_group_is_read_where_the_config_names_its_column(config_of: ConfigOf, tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [{**ROWS[0], "ward": 7}, {**ROWS[1], "ward": None}])
    named = config_of({"evaluation.probes": {"group": "ward"}})
    assert [record.group for record in read_records(path, named)] == ["7", None]
    assert [record.group for record in read_records(path, config_of())] == [None, None]
    assert [record.group for record in read_records(path, config_of({"evaluation.probes": {"group": "sex"}}))] == [None] * 2
    assert "ward" not in repr(read_records(path, named)[0])
