"""Show fields of the run configuration as tables in a terminal."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from shared.config.reference import FieldRow


def field_tables(rows: Sequence[FieldRow]) -> Iterator[RenderableType]:
    """Yield one table of fields, or plain lines if there is only one field."""
    if len(rows) == 1:
        (row,) = rows
        yield Text(f"{row.path}: {row.description}")
        yield Text(f"type: {row.kind}\n" + (f"range: {row.range}\n" if row.range else "") + f"default: {row.default}")
        return
    table = Table("field", "type", "range", "default", "description")
    for row in rows:
        table.add_row(*(Text(cell) for cell in (row.path, row.kind, row.range, row.default, row.description)))
    yield table
