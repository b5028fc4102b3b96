import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixture_types import ConfigOf, Read, Refused, Write
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.records.encoding import CHUNK
from shared.records.read import read_records
from shared.records.types import without_point

MARKER = "zqxjvkwpatient"
ROWS: Sequence[dict[str, Any]] = [
    {"text": "I can't sleep, since Monday", "label": "yes"},
    {"text": 'She said "no"\nand left', "label": "no"},
    {"text": "Größe \N{SNOWMAN} 12", "label": "yes"},
]


def jsonl(*lines: str) -> bytes:
    return "".join(line + "\n" for line in lines).encode()


GOOD = json.dumps({"text": MARKER, "label": "no"})
BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "an empty file": ("n.jsonl", b"", "the file is empty"),
    "an empty parquet": ("n.parquet", b"", "the file is empty"),
    "blank lines alone": ("n.jsonl", b"\n\n", "n.jsonl"),
    "a header alone": ("n.csv", b"text,label\n", "no usable record"),
    "an unknown suffix": ("n.gz", MARKER.encode(), "unknown format '.gz'"),
    "no suffix": ("records", MARKER.encode(), "unknown format"),
    "a binary csv": ("n.csv", b"text,label\n" + MARKER.encode() + b"\x00,no\n", "line 2: a NUL"),
    "a binary jsonl": ("n.jsonl", GOOD.encode() + b"\x00", "line 1: a NUL"),
    "a cut character at the end": ("n.jsonl", GOOD.encode() + b"\xe2\x82", "not UTF-8"),
    "a cut character of utf-16": ("n.csv", f"text,label\n{MARKER},no\n".encode("utf-16")[:-1], "say UTF-16, and others"),
    "a truncated line": ("n.jsonl", jsonl(GOOD, GOOD[:-8]), "line 2"),
    "a line that is no object": ("n.jsonl", jsonl(GOOD, json.dumps(MARKER)), "line 2"),
    "two objects a line": ("n.jsonl", jsonl(GOOD, f"{GOOD} {MARKER}"), "line 2"),
    "a column that is not there": ("n.jsonl", jsonl(json.dumps({"txt": MARKER, "label": "no"})), "no column 'text'"),
    "no label column": ("n.jsonl", jsonl(json.dumps({"text": MARKER})), "no column 'label'"),
    "a csv without a header": ("n.csv", f"{MARKER},no\n{MARKER} two,yes\n".encode(), "no column 'text'"),
    "a text as a column name": ("n.jsonl", jsonl(json.dumps({MARKER: 1, "label": "no"})), "no column 'text'"),
    "a number for a text": ("n.jsonl", jsonl(json.dumps({"text": 12, "label": "no"})), "record 1: column 'text' holds int"),
    "a label outside the set": ("n.jsonl", jsonl(GOOD, json.dumps({"text": "a", "label": MARKER})), "record 2: its label"),
    "mixed types": ("n.jsonl", jsonl(GOOD, json.dumps({"text": {"a": MARKER}, "label": 3})), "n.jsonl"),
    "a row with more cells": (
        "n.csv",
        f'text,label\n"a\nb",no\n{MARKER},no,{MARKER},"more"\n'.encode(),
        "line 4, record 2: has 4 cells, and the header 2",
    ),
    "a row with fewer cells": ("n.csv", f"text,label\n{MARKER},no\n{MARKER}\n".encode(), "line 3, record 2: has 1 cells"),
    "a column twice": ("n.csv", f"text,label,text\n{MARKER},no,{MARKER}\n".encode(), "columns 1 and 3 have the same name"),
    "a comma in each text": (
        "n.csv",
        b"text,label\nDr E wrote that it hurts, please call,no\n",
        "line 2, record 1: has 3 cells",
    ),
    "marks escaped by backslashes": (
        "n.csv",
        f'text,label\n"She said \\"{MARKER}, yes\\"",no\n'.encode(),
        "begins in line 2",
    ),
    "an open quotation mark": ("n.csv", f'text,label\nx,no\n"{MARKER},no\n{MARKER},no\n'.encode(), "begins in line 3"),
    "a mark within a cell": ("n.csv", f'text,label\n"{MARKER}" {MARKER},no\n'.encode(), "begins in line 2"),
    "a list with another value": ("n.json", f"[{GOOD}, 3]".encode(), "one list of objects"),
    "an unclosed list": ("n.json", f"[{GOOD}".encode(), "one list of objects"),
    "a parquet that is none": ("n.parquet", b"PAR1" + MARKER.encode(), "not readable as parquet"),
    "nested brackets": ("n.jsonl", jsonl(GOOD, "[" * 100_000), "n.jsonl"),
}


@pytest.mark.parametrize(("name", "content", "says"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_is_one_line_without_a_word_of_its_text(
    tmp_path: Path, config_of: ConfigOf, name: str, content: bytes, says: str, refused: Refused
) -> None:
    (tmp_path / name).write_bytes(content)
    assert says in refused(tmp_path / name, config_of())


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path, config_of: ConfigOf, refused: Refused) -> None:
    assert "no such file" in refused(tmp_path / "none.jsonl", config_of())
    (tmp_path / "folder.jsonl").mkdir()
    assert "no such file" in refused(tmp_path / "folder.jsonl", config_of())


def test_reading_leaves_no_copy_of_the_text_on_the_disk(tmp_path: Path, write: Write) -> None:
    rows = [{"text": f"{MARKER} {i}", "label": "no"} for i in range(50)]
    paths = [str(write(tmp_path / f"north{suffix}", rows)) for suffix in (".jsonl", ".csv", ".parquet")]
    caches = tmp_path / "caches"
    code = (
        "import sys; from pathlib import Path; from shared.records.read import read_records; "
        "from shared.config.run import RunConfig; "
        "tree = {'task': {'labels': ['no', 'yes']}, 'data': {'sites': [{'id': 'n', 'file': 'n.csv', 'declared_size': 9}]}}; "
        "print(*(len(read_records(Path(path), RunConfig.parse(tree, 't'))) for path in sys.argv[1:]), flush=True)"
    )
    places = dict.fromkeys(("HF_HOME", "TMPDIR", "XDG_CACHE_HOME"), caches)
    caches.mkdir()
    environment = {**os.environ, **{name: str(place) for name, place in places.items()}}
    done = subprocess.run([sys.executable, "-c", code, *paths], env=environment, check=False, capture_output=True, text=True)
    assert done.stdout == "50 50 50\n", done.stderr  # the status is Arrow's threads', which now and then abort at the end
    left = [file for file in caches.rglob("*") if file.is_file()]
    assert not [file for file in left if MARKER.encode() in file.read_bytes()]
    assert not [file for file in left if file.suffix in (".arrow", ".parquet", ".csv", ".jsonl")]


CELLS = st.sampled_from(["0042", "42", "17.0", "1e3", "NA", "null", "true", "2020-01-01", "nan", "x", "Ann Lee", "1" * 20])
lines = st.fixed_dictionaries({"text": CELLS, "label": CELLS, "pid": CELLS, "mrn": CELLS})


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@settings(max_examples=40)
@given(rows=st.lists(lines, min_size=1, max_size=6))
def test_a_row_is_read_alike_whatever_rows_are_around_it(
    tmp_path_factory: pytest.TempPathFactory, config_of: ConfigOf, suffix: str, rows: list[dict[str, str]], write: Write
) -> None:
    config = config_of({"data.columns.person": "pid", "data.columns.known": ["mrn"]})
    path = tmp_path_factory.mktemp("n") / f"n{suffix}"
    together = read_records(write(path, rows), config, labelled=False)
    for position, row in enumerate(rows, start=1):
        (alone,) = read_records(write(path, [row]), config, labelled=False)
        assert replace(alone, position=position) == together[position - 1]
        assert alone.origin == together[position - 1].origin
        assert (alone.label, alone.known[0]) == (row["label"], without_point(row["mrn"]))


@pytest.mark.parametrize(
    ("early", "late"),
    [(None, "x"), (None, {"a": [1]}), (1, "x"), ([], {}), (True, 1.5)],
    ids=["null, then text", "null, then an object", "number, then text", "list, then object", "truth value, then number"],
)
def test_a_column_that_nothing_maps_may_change_its_type_at_the_end_of_a_long_file(
    tmp_path: Path, config_of: ConfigOf, write: Write, early: Any, late: Any
) -> None:
    rows = [{"text": "word " * 400, "label": "no", "meta": early}] * 600
    path = write(tmp_path / "n.jsonl", [*rows, {"text": "x", "label": "yes", "meta": late}])
    found = read_records(path, config_of())
    assert path.stat().st_size > CHUNK  # bytes that are read at once
    assert len(found) == 601
    assert found[-1].label == "yes"


UNMAPPED = {
    "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    "objects": pa.array([[{"a": {"b": [1.5]}}]]),
    "decimal": pa.array([1], pa.decimal128(38, 2)),
    "duration": pa.array([1], pa.duration("ns")),
    "null": pa.nulls(1),
    "bytes": pa.array([b"\xff"]),
}


@pytest.mark.parametrize("extra", UNMAPPED.values(), ids=UNMAPPED.keys())
def test_a_column_of_a_parquet_file_that_nothing_maps_may_have_any_type(
    tmp_path: Path, config_of: ConfigOf, extra: pa.Array
) -> None:
    pq.write_table(pa.table({"text": ["x"], "extra": extra, "label": ["no"]}), tmp_path / "n.parquet")
    (record,) = read_records(tmp_path / "n.parquet", config_of())
    assert (record.fields["text"], record.label) == ("x", "no")


@pytest.mark.parametrize("suffix", [".CSV", ".JSONL", ".Parquet", ".XLSX"])
def test_a_suffix_may_be_in_capitals(tmp_path: Path, config_of: ConfigOf, write: Write, suffix: str) -> None:
    path = write(tmp_path / f"n{suffix.lower()}", [{"text": "I cannot sleep", "label": "yes"}])
    (record,) = read_records(path.rename(tmp_path / f"N{suffix}"), config_of())
    assert (record.fields["text"], record.label) == ("I cannot sleep", "yes")


def test_one_list_of_objects_is_read_like_lines(tmp_path: Path, config_of: ConfigOf) -> None:
    (tmp_path / "n.json").write_text(json.dumps(list(ROWS), indent=1), encoding="utf-8-sig")
    assert [record.label for record in read_records(tmp_path / "n.json", config_of())] == ["yes", "no", "yes"]


def test_a_cell_may_be_longer_than_the_csv_librarys_own_limit(tmp_path: Path, config_of: ConfigOf, write: Write) -> None:
    path = write(tmp_path / "n.csv", [{"text": "word " * 40_000, "label": "no"}])
    before = csv.field_size_limit()
    assert len(read_records(path, config_of())[0].fields["text"]) <= 4000
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_line_separator_within_a_text_ends_no_line(read: Read, suffix: str) -> None:
    (record,) = read([{"text": "one\u2028two\x85three", "label": "no"}], suffix=suffix)
    assert record.fields["text"] == "one\u2028two\x85three"


@pytest.mark.parametrize("kind", ["many rows", "long values", "a dictionary", "one value"])
def test_a_parquet_file_that_inflates_without_end_is_refused_at_a_small_cost(
    tmp_path: Path, config_of: ConfigOf, kind: str, refused: Refused
) -> None:
    count, length = {"many rows": (2_000_000, 1), "one value": (1, 70_000_000)}.get(kind, (100_000, 20_000))
    texts = pa.DictionaryArray.from_arrays(pa.array([0]).take(pa.repeat(0, count)).cast("int32"), ["x" * length])
    path, schema = tmp_path / "bomb.parquet", kind == "a dictionary"
    pq.write_table(
        pa.table({"text": texts, "label": pa.repeat("yes", count)}), path, compression="zstd", store_schema=schema
    )
    assert path.stat().st_size < 200_000
    told = refused(path, config_of())
    assert "inflates to more than 200 times its size" in told
