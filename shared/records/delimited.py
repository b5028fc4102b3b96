"""Read the rows of a delimited file (CSV), with every cell as text.

The header decides the delimiter: the one that gives most of the wanted columns. No record is looked at,
so no record changes how another one is read.
"""

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from shared.errors import DataError
from shared.records.row import Row, refuse_doubled

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
CELL_CHARS = 1 << 24  # most characters of a cell; without a limit, an open quotation mark would read the rest of the file
NAMED = re.compile(r'"?sep=(.)"?\s*')  # the line in which Excel may name the delimiter


@dataclass(frozen=True)
class Table:
    """What the beginning of a delimited file says about it.

    Attributes
    ----------
    delimiter
        The character between two cells.
    columns
        Names of the columns, in order.
    skipped
        Number of lines before the header.
    """

    delimiter: str
    columns: Sequence[str]
    skipped: int = 0


def table_of(path: Path, encoding: str, wanted: Collection[str]) -> Table:
    """Return the delimiter and columns of a delimited file that should have the wanted columns; only its header is read."""
    with path.open(encoding=encoding, newline="") as stream:
        named = NAMED.fullmatch(stream.readline(16))
    tables = [_table(path, encoding, delimiter, 1 if named else 0) for delimiter in (named[1] if named else DELIMITERS)]
    found = [len(set(wanted) & set(table.columns)) for table in tables]
    scores = found if any(found) else [len(table.columns) for table in tables]
    return tables[scores.index(max(scores))]  # the first wins a tie


def _table(path: Path, encoding: str, delimiter: str, skipped: int) -> Table:
    """Return the columns that a delimiter gives; none if the header cannot be read so."""
    with path.open(encoding=encoding, newline="") as stream, _wide_cells():
        try:
            rows = csv.reader(islice(stream, skipped, None), delimiter=delimiter, strict=True)
            header = next((cells for cells in rows if cells), [])
        except csv.Error:
            header = []
    return Table(delimiter, [name.strip() for name in header], skipped)


def delimited_rows(path: Path, encoding: str, wanted: Collection[str]) -> Iterator[Row]:
    """Yield the rows of a delimited file (RFC 4180) that should have the wanted columns; an empty cell is an empty text.

    Raises
    ------
    DataError
        Two columns have the same name, or a row has more or fewer cells than the header, or cannot be read.
    """
    table = table_of(path, encoding, wanted)
    refuse_doubled(path, table.columns)
    with path.open(encoding=encoding, newline="") as stream:
        lines = _lines(path, islice(stream, table.skipped, None), table)
        next(lines, None)
        for number, (line, cells) in enumerate(lines, start=1):
            place, width = f"line {line}, record {number}", len(table.columns)
            if len(cells) != width:
                raise DataError(
                    f"{path}, {place}: has {len(cells)} cells, and the header {width}; correct the row, and put cells that "
                    f"hold a {DELIMITERS.get(table.delimiter, 'delimiter')} or a line break in quotation marks"
                )
            yield Row(place, dict(zip(table.columns, cells, strict=True)), table.columns)


def _lines(path: Path, stream: Iterator[str], table: Table) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row with the number of the row's first line; leave out empty lines."""
    reader, line, failure = csv.reader(stream, delimiter=table.delimiter, strict=True), 1, ""
    with _wide_cells():
        try:
            for cells in reader:
                if cells:
                    yield line + table.skipped, cells
                line = reader.line_num + 1
        except csv.Error as error:
            failure = str(error)  # one of a few fixed messages, which quote no text
    if failure:
        raise DataError(
            f"{path}: not readable as csv in the row that begins in line {line + table.skipped}: {failure}; correct the "
            "row, and write each quotation mark within a cell twice"
        )


@contextmanager
def _wide_cells() -> Iterator[None]:
    """Allow cells of ``CELL_CHARS`` characters; the library's own limit is 128 K."""
    before = csv.field_size_limit(CELL_CHARS)
    try:
        yield
    finally:
        csv.field_size_limit(before)
