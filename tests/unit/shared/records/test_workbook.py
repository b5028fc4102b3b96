from collections.abc import Callable
from pathlib import Path

import pytest
from fixture_types import ConfigOf, Read, Refused, Write

from shared.errors import ConfigError
from shared.ops import extras
from shared.records.read import read_records

MARKER = "zqxjvkwpatient"
HEAD = ["text", "label"]
pytest.importorskip("python_calamine", reason="the extra 'excel' is not installed")


@pytest.mark.parametrize("name", ["n.xlsx", "N.XLSX"])
def test_a_sheet_is_read_like_the_same_table_in_csv(tmp_path: Path, config_of: ConfigOf, name: str, write: Write) -> None:
    rows = [
        {"text": "Größe \N{SNOWMAN}\nzwei", "label": "01", "pid": "0042"},
        {"text": "", "label": "02", "pid": "x"},
        {"text": "a", "label": "NA", "pid": "17"},
    ]
    config = config_of({"task.labels": ["01", "02"], "data.columns.person": "pid"})
    write(tmp_path / "n.xlsx", rows).rename(tmp_path / name)
    assert read_records(tmp_path / name, config) == read_records(write(tmp_path / "n.csv", rows), config)


def test_numbers_and_truth_values_are_texts(read: Read) -> None:
    rows = [{"text": 12, "label": True, "pid": 17}, {"text": 0.5, "label": False, "pid": None}]
    found = read(rows, {"task.labels": ["TRUE", "FALSE"], "data.columns.person": "pid"}, ".xlsx")
    assert [(one.fields["text"], one.label, one.person) for one in found] == [("12", "TRUE", "17"), ("0.5", "FALSE", None)]


def test_the_sheet_with_the_mapped_columns_is_read_and_empty_rows_are_left_out(
    tmp_path: Path, config_of: ConfigOf, write_workbook: Callable[..., None]
) -> None:
    rows = [[*HEAD, None], ["a", "no", None], [None, None, None], ["b", "yes", None]]
    write_workbook(tmp_path / "n.xlsx", [["About", MARKER]], [], rows)
    assert [(one.position, one.label) for one in read_records(tmp_path / "n.xlsx", config_of())] == [(1, "no"), (2, "yes")]


def test_what_cannot_be_read_for_sure_is_refused(
    tmp_path: Path, config_of: ConfigOf, write_workbook: Callable[..., None], refused: Refused
) -> None:
    path, row = tmp_path / "n.xlsx", [MARKER, "no"]
    write_workbook(path, [HEAD, row], [HEAD, row])
    assert "2 of its sheets could hold the records" in refused(path, config_of())
    write_workbook(path, [HEAD, row], [])
    assert len(read_records(path, config_of())) == 1
    write_workbook(path, [HEAD, row, [MARKER, "no", MARKER]])
    assert "line 3, record 2: has a cell in a column without a name" in refused(path, config_of())
    write_workbook(path, [[*HEAD, "text"], [*row, MARKER]])
    assert "columns 1 and 3 have the same name" in refused(path, config_of())
    write_workbook(path, [row, row])
    assert "no column 'text' among the file's 2" in refused(path, config_of())
    write_workbook(path, [])
    assert "none of its sheets" in refused(path, config_of())
    path.write_bytes(b"PK\x03\x04" + MARKER.encode())
    assert "not readable as an Excel workbook" in refused(path, config_of())


def test_without_its_reader_the_extra_is_named(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "missing", lambda extra: iter([extra]))
    with pytest.raises(ConfigError, match=r"pip install 'hushtune\[excel\]', or save it as 'CSV UTF-8'"):
        read([{"text": "a", "label": "no"}], suffix=".xlsx")
