"""Read the rows of a site's file, CSV, JSON lines, Parquet or Excel, with the values as they are in the file.

The type of a value is never guessed from other values: a CSV cell is text, and the other formats contain the types. So a row
does not depend on the rows around it. Rows are streamed (a sheet of Excel is read whole), and nothing is cached on the disk.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from shared.errors import DataError
from shared.records.delimited import delimited_rows
from shared.records.encoding import encoding_of
from shared.records.row import Row, refuse_doubled
from shared.records.workbook import workbook_rows

FORMATS = {
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "json"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    ".parquet": "parquet",
    ".xlsx": "excel",
}
PARQUET_ROWS = 256  # rows in memory at once
SMALL, INFLATION = 2**26, 200  # bytes that any file may inflate to, and the most that a larger one may, as a multiple of it
ROW = 64  # bytes that a row takes in memory at least
BOMB = f"it inflates to more than {INFLATION} times its size, which no file of records does; write it again from its source"


class _Doubled(dict[str, Any]):
    """A JSON object in which a name stands twice; ``names`` are all its names."""

    names: tuple[str, ...] = ()


def rows_of(path: Path, wanted: Collection[str]) -> Iterator[Row]:
    """Return the rows of a file in order, with at least those of the ``wanted`` columns that the file has.

    Parameters
    ----------
    path
        A CSV, JSON, Parquet or Excel file; upper or lower case of its suffix makes no difference.
    wanted
        The columns that are needed.

    Raises
    ------
    DataError
        The file is missing, empty, of another format or encoding, or a part of it cannot be read. The message names the
        place, never the text.
    """
    return READERS[format_of(path)](path, wanted)


def format_of(path: Path) -> str:
    """Return the format of a file by its suffix: csv, json, parquet or excel.

    Raises
    ------
    DataError
        The file is missing or empty, or has another suffix.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; correct the path (of a site: data.root and its file)")
    if path.suffix.lower() not in FORMATS:
        raise DataError(f"{path}: unknown format '{path.suffix}'; give .jsonl, .csv, .parquet or .xlsx")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; give a file with records")
    return FORMATS[path.suffix.lower()]


def _csv_rows(path: Path, wanted: Collection[str]) -> Iterator[Row]:
    return delimited_rows(path, encoding_of(path), wanted)


def _json_rows(path: Path, wanted: Collection[str]) -> Iterator[Row]:
    """Yield the objects of JSON lines, or of one list of objects."""
    encoding = encoding_of(path)
    with path.open(encoding=encoding) as stream:
        start = next((line for line in stream if line.strip()), "")
        stream.seek(0)
        found = _listed(path, stream.read()) if start.lstrip("\ufeff \t").startswith("[") else _lines(path, stream)
        for number, (place, value) in enumerate(found, start=1):
            place = f"{place}record {number}"
            names = value.names if isinstance(value, _Doubled) else ()
            doubled = set(wanted) & {name for name in names if names.count(name) > 1}
            if doubled:
                raise DataError(f"{path}, {place}: column '{min(doubled)}' stands twice; rename or remove one of them")
            yield Row(place, value, tuple(value))


def _lines(path: Path, stream: Iterator[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for line, text in enumerate(stream, start=1):
        if text.strip():
            value = _parsed(text)
            if not isinstance(value, dict):
                raise DataError(f"{path}: not readable as {path.suffix[1:]} at line {line}; give one object a line")
            yield f"line {line}, ", value


def _listed(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    values = _parsed(text)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise DataError(f"{path}: not readable as {path.suffix[1:]}; give one object a line, or one list of objects")
    yield from (("", value) for value in values)


def _parsed(text: str) -> Any:
    """Return a JSON value, or None if the text is not JSON; the parser's error is dropped, because it quotes the text.

    A byte order mark may stand before each line, as it does in joined files. Control characters may stand in a text.
    """
    try:
        return json.loads(text.lstrip("\ufeff"), object_pairs_hook=_object, strict=False)
    except (ValueError, RecursionError):
        return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, which remembers its names if one of them stands twice."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled = _Doubled(pairs)
    doubled.names = tuple(name for name, _ in pairs)
    return doubled


def _parquet_rows(path: Path, wanted: Collection[str]) -> Iterator[Row]:
    """Yield the rows of a Parquet file with only the wanted columns; no other column is decoded."""
    import pyarrow as pa
    from pyarrow import parquet

    failure = ""
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            refuse_doubled(path, names)
            columns = [name for name in names if name in wanted]
            left, groups = max(SMALL, INFLATION * path.stat().st_size), range(file.metadata.num_row_groups)
            largest = max((file.metadata.row_group(group).total_byte_size for group in groups), default=0)
            if max(largest, ROW * file.metadata.num_rows) > left:
                raise DataError(f"{path}: {BOMB}")  # before anything is inflated
            batches = file.iter_batches(PARQUET_ROWS, columns=columns, use_threads=False)
            values = chain.from_iterable(batch.to_pylist() for batch in _bounded(batches, left, path))
            for number, row in enumerate(values, start=1):
                yield Row(f"record {number}", row, names)
    except (pa.ArrowException, ValueError, TypeError, OSError, OverflowError) as error:
        failure = type(error).__name__
    if failure:  # raised here, so that the library's error, which may quote the text, is not attached to ours
        raise DataError(f"{path}: not readable as parquet ({failure}); repair the file")


def _bounded(batches: Iterator[Any], most: int, path: Path) -> Iterator[Any]:
    """Yield batches of Arrow until together they take more than ``most`` bytes, with each repetition of a value."""
    for batch in batches:
        plain = [getattr(column, "dictionary_decode", lambda column=column: column)() for column in batch.columns]
        most -= sum(column.nbytes for column in plain)
        if most < 0:
            raise DataError(f"{path}: {BOMB}")
        yield batch


READERS: Mapping[str, Callable[[Path, Collection[str]], Iterator[Row]]] = {
    "csv": _csv_rows,
    "json": _json_rows,
    "parquet": _parquet_rows,
    "excel": workbook_rows,
}
