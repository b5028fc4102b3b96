"""Read the rows of an Excel workbook: one sheet, whose first row names the columns."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from shared.errors import DataError
from shared.ops.extras import require
from shared.records.flatten import as_text
from shared.records.row import Row, refuse_doubled


def workbook_rows(path: Path, wanted: Collection[str]) -> Iterator[Row]:
    """Yield the rows of the sheet that has the wanted columns, with all cells as text, as in a CSV file.

    A number is read as Excel stores it, without its display format: 42 that is shown as 0042 is 42. A cell whose formula
    failed is empty.

    Parameters
    ----------
    path
        A workbook (.xlsx).
    wanted
        The columns that are needed.

    Raises
    ------
    DataError
        The file is no workbook, several of its sheets have wanted columns, or a row has a cell beyond the header.
    ConfigError
        The extra that reads workbooks is not installed.
    """
    first, (header, *rows) = _sheet(path, wanted)
    names = [str(name).strip() for name in header]
    refuse_doubled(path, names)
    number = 0
    for line, cells in enumerate(rows, start=first + 1):
        if not any(map(_text, cells)):
            continue
        number += 1
        place = f"line {line}, record {number}"
        if any(_text(cell) for name, cell in zip(names, cells, strict=True) if not name):
            raise DataError(f"{path}, {place}: has a cell in a column without a name; name the column, or empty the cell")
        yield Row(place, {name: _text(cell) for name, cell in zip(names, cells, strict=True) if name in wanted}, names)


def _sheet(path: Path, wanted: Collection[str]) -> tuple[int, Sequence[Sequence[Any]]]:
    """Return the number of the header's line and the rows of the one sheet with wanted columns, each as wide as that."""
    require(f"{path}: an Excel workbook", "excel", "save it as 'CSV UTF-8'")
    from python_calamine import CalamineError, CalamineWorkbook

    failure = ""
    try:
        with CalamineWorkbook.from_path(path) as book:
            sheets = [book.get_sheet_by_name(name) for name in book.sheet_names]
            filled = [((sheet.start or (0, 0))[0] + 1, sheet.to_python()) for sheet in sheets if sheet.start is not None]
    except (CalamineError, OSError, ValueError) as error:
        failure = type(error).__name__
    if failure:  # raised here, so that the library's error is not attached to ours
        raise DataError(f"{path}: not readable as an Excel workbook ({failure}); save it again as .xlsx, or as 'CSV UTF-8'")
    fitting = [each for each in filled if set(wanted) & {str(name).strip() for name in each[1][0]}] or filled
    if len(fitting) != 1:
        raise DataError(
            f"{path}: {len(fitting) or 'none'} of its sheets could hold the records; keep one sheet with the columns' names "
            "in its first row"
        )
    return fitting[0]


def _text(cell: Any) -> str:
    """Return a cell as text; a truth value as Excel shows it."""
    return str(cell).upper() if isinstance(cell, bool) else as_text(cell)
