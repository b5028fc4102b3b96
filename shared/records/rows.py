"""Read the rows of a site's file, CSV, JSON lines or Parquet, with the values as they are in the file.

The type of a value is never guessed from other values: a CSV cell is text, and JSON and Parquet files contain the types. So
a row does not depend on the rows around it. Rows are streamed, and nothing is cached on the disk.
"""

import codecs
import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from shared.errors import DataError

FORMATS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
CELL_CHARS = 1 << 24  # most characters of a cell; without a limit, an open quotation mark would read the rest of the file
PARQUET_ROWS = 1024  # rows in memory at once


@dataclass(frozen=True)
class Row:
    """One row of a file.

    Attributes
    ----------
    place
        Number of the record and, in a text file, of the line, for messages.
    values
        Values by column; may lack columns that were not wanted.
    width
        Number of columns of the file.
    """

    place: str
    values: Mapping[str, Any] = field(repr=False)
    width: int = 0


def rows_of(path: Path, wanted: Collection[str]) -> Iterator[Row]:
    """Return the rows of a file in order, with at least those of the ``wanted`` columns that the file has.

    Parameters
    ----------
    path
        A CSV, JSON or Parquet file.
    wanted
        The columns that are needed.

    Raises
    ------
    DataError
        The file is missing, empty, of another format or encoding, or a part of it cannot be read. The message names the
        place, never the text.
    """
    _refuse_unreadable(path)
    return READERS[FORMATS[path.suffix]](path, wanted)


def _refuse_unreadable(path: Path) -> None:
    """Refuse a file that cannot be read, in one sentence, before any library opens it."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; check data.root and the site's file")
    if path.suffix not in FORMATS:
        raise DataError(f"{path}: unknown format '{path.suffix}'; give .jsonl, .csv or .parquet")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; give a file with records")
    if FORMATS[path.suffix] != "parquet":
        _refuse_other_encoding(path)


def _refuse_other_encoding(path: Path) -> None:
    """Refuse a file that is not UTF-8 text; the message names the first wrong byte."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            if b"\0" in chunk:
                raise DataError(f"{path}: a binary file (NUL at byte {offset + chunk.index(0)}); give UTF-8 text")
            bad = _bad_byte(decoder, chunk)
            if bad is not None:
                raise DataError(f"{path}: not UTF-8 near byte {offset + bad}; save the file as UTF-8")
            offset += len(chunk)
    if _bad_byte(decoder, b"", final=True) is not None:
        raise DataError(f"{path}: not UTF-8 at its last bytes; save the file as UTF-8")


def _bad_byte(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False) -> int | None:
    """Return the place of the first byte that is not UTF-8; the decoder's error is dropped, because it quotes the text."""
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        return error.start
    return None


def _csv_rows(path: Path, _wanted: Collection[str]) -> Iterator[Row]:
    """Yield the rows of a CSV file (RFC 4180) with all cells as text; an empty cell is an empty text."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = _csv_lines(path, stream)
        _, header = next(lines, (0, []))
        _refuse_doubled(path, header)
        for number, (line, cells) in enumerate(lines, start=1):
            place = f"line {line}, record {number}"
            if len(cells) != len(header):
                raise DataError(
                    f"{path}, {place}: has {len(cells)} cells, and the header {len(header)}; correct the row, and put "
                    "cells that hold a comma or a line break in quotation marks"
                )
            yield Row(place, dict(zip(header, cells, strict=True)), len(header))


def _csv_lines(path: Path, stream: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row with the number of the row's first line; leave out empty lines."""
    reader, line, failure = csv.reader(stream, strict=True), 1, ""
    with _wide_cells():
        try:
            for cells in reader:
                if cells:
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            failure = str(error)  # one of a few fixed messages, which quote no text
    if failure:
        raise DataError(f"{path}: not readable as csv in the row that begins in line {line}: {failure}; correct the row")


@contextmanager
def _wide_cells() -> Iterator[None]:
    """Allow cells of ``CELL_CHARS`` characters; the library's own limit is 128 K."""
    before = csv.field_size_limit(CELL_CHARS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _json_rows(path: Path, _wanted: Collection[str]) -> Iterator[Row]:
    """Yield the objects of JSON lines, or of one list of objects."""
    with path.open(encoding="utf-8-sig") as stream:
        start = next((line for line in stream if line.strip()), "")
        stream.seek(0)
        found = _listed(path, stream.read()) if start.lstrip("\ufeff \t").startswith("[") else _lines(path, stream)
        for number, (place, value) in enumerate(found, start=1):
            yield Row(f"{place}record {number}", value, len(value))


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
    """Return a JSON value, or None if the text is not JSON; the parser's error is dropped, because it quotes the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _parquet_rows(path: Path, wanted: Collection[str]) -> Iterator[Row]:
    """Yield the rows of a Parquet file with only the wanted columns; no other column is decoded."""
    import pyarrow as pa
    from pyarrow import parquet

    failure = ""
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _refuse_doubled(path, names)
            columns = [name for name in names if name in wanted]
            batches = file.iter_batches(PARQUET_ROWS, columns=columns, use_threads=False)
            values = chain.from_iterable(batch.to_pylist() for batch in batches)
            for number, row in enumerate(values, start=1):
                yield Row(f"record {number}", row, len(names))
    except (pa.ArrowException, ValueError, TypeError, OSError, OverflowError) as error:
        failure = type(error).__name__
    if failure:  # raised here, so that the library's error, which may quote the text, is not attached to ours
        raise DataError(f"{path}: not readable as parquet ({failure}); repair the file")


def _refuse_doubled(path: Path, names: Sequence[str]) -> None:
    """Refuse two columns with the same name; several may have no name, as a spreadsheet may leave them at the end."""
    places: dict[str, int] = {}
    for place, name in enumerate(names, start=1):
        if name and places.setdefault(name, place) != place:
            # If a file has no header line, its column names are its first record, so they are not printed.
            raise DataError(f"{path}: columns {places[name]} and {place} have the same name; rename one of them")


READERS: Mapping[str, Callable[[Path, Collection[str]], Iterator[Row]]] = {
    "csv": _csv_rows,
    "json": _json_rows,
    "parquet": _parquet_rows,
}
