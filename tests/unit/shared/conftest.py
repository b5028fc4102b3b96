"""Files of records in every format, and what a refusal of one may say."""

import csv
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixture_types import ConfigOf, Read, Refusal

from shared.config.run import RunConfig
from shared.errors import DataError
from shared.records.read import read_records

MARKER = "zqxjvkwpatient"  # of the text that no refusal may quote


@pytest.fixture(scope="session")
def write() -> Callable[[Path, Sequence[Mapping[str, Any]]], Path]:
    """``write(path, rows)``: a file in the format of its suffix."""
    return _write


@pytest.fixture
def read(tmp_path: Path, config_of: ConfigOf) -> Read:
    """``read(rows, {"data.columns.person": "pid"}, ".csv")``: the records of a file of these rows, by default in JSON."""
    return lambda rows, changes=(), suffix=".jsonl": read_records(_write(tmp_path / f"n{suffix}", rows), config_of(changes))


@pytest.fixture
def refusal(tmp_path: Path, config_of: ConfigOf) -> Refusal:
    """``refusal(rows, changes, suffix)``: the one line that says why a file of these rows is refused."""
    return lambda rows, changes=(), suffix=".jsonl": _refused(_write(tmp_path / f"n{suffix}", rows), config_of(changes))


@pytest.fixture(scope="session")
def write_workbook() -> Callable[..., None]:
    """``write_workbook(path, rows, rows)``: an Excel file with a sheet for each table of cells."""
    return _write_workbook


@pytest.fixture(scope="session")
def refused() -> Callable[[Path, RunConfig], str]:
    """``refused(path, config)``: the one line that says why, which must quote no text."""
    return _refused


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    if path.suffix == ".xlsx":
        _write_workbook(path, [list(rows[0]), *(list(row.values()) for row in rows)])
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
    return path


def _write_workbook(path: Path, *sheets: Sequence[Sequence[Any]]) -> None:
    """Write the least that Excel takes for a workbook: numbers as numbers, truth values as such, other cells as texts."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    numbers = range(1, len(sheets) + 1)
    listed = "".join(f'<sheet name="s{n}" sheetId="{n}" r:id="r{n}"/>' for n in numbers)
    targets = "".join(f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="s{n}.xml"/>' for n in numbers)
    book = f'<Relationship Id="b" Type="{office}/officeDocument" Target="xl/workbook.xml"/>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("_rels/.rels", f'<Relationships xmlns="{package}">{book}</Relationships>')
        archive.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{listed}</sheets></workbook>'
        )
        archive.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}">{targets}</Relationships>')
        for number, rows in zip(numbers, sheets, strict=True):
            cells = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
            archive.writestr(f"xl/s{number}.xml", f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>')


def _cell(value: Any) -> str:
    if value is None:
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value}</v></c>"
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(str(value))}</t></is></c>'


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Return an error with all its causes, hidden or not."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            todo += [one.__cause__, one.__context__]


def _refused(path: Path, config: RunConfig) -> str:
    """Return the line that says why a file is refused, after a check that it and its causes contain no record's text."""
    with pytest.raises(DataError) as caught:
        read_records(path, config)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    for error in _chain(caught.value):
        assert MARKER not in f"{error} {error.args}", f"{type(error).__name__} quotes the text"
    return str(caught.value)
