"""Files of records in every format, and what a refusal of one may say."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.config.run import RunConfig
from shared.errors import DataError
from shared.records.read import read_records

MARKER = "zqxjvkwpatient"  # of the text that no refusal may quote


@pytest.fixture(scope="session")
def write() -> Callable[[Path, Sequence[Mapping[str, Any]]], Path]:
    """``write(path, rows)``: a file in the format of its suffix."""
    return _write


@pytest.fixture(scope="session")
def refused() -> Callable[[Path, RunConfig], str]:
    """``refused(path, config)``: the one line that says why, which must quote no text."""
    return _refused


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
    return path


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
