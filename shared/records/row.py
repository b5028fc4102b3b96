"""Define a row of a file, and what rows of every format have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.errors import DataError


@dataclass(frozen=True)
class Row:
    """One row of a file.

    Attributes
    ----------
    place
        Number of the record and, in a text file or sheet, of the line, for messages.
    values
        Values by column; may lack columns that were not wanted, and those that a JSON object leaves out.
    columns
        Names of all columns; in JSON, those of this row.
    """

    place: str
    values: Mapping[str, Any] = field(repr=False)
    columns: Sequence[str] = field(repr=False, default=())


def refuse_doubled(path: Path, names: Sequence[str]) -> None:
    """Refuse two columns with the same name; several may have no name, as a spreadsheet may leave them at the end.

    Parameters
    ----------
    path
        The file, for the message.
    names
        Names of the columns, in order.

    Raises
    ------
    DataError
        A name stands twice.
    """
    places: dict[str, int] = {}
    for place, name in enumerate(names, start=1):
        if name and places.setdefault(name, place) != place:
            # If a file has no header line, its column names are its first record, so they are not printed.
            raise DataError(f"{path}: columns {places[name]} and {place} have the same name; rename one of them")
