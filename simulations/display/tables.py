"""Make the empty tables that the other modules of this folder fill."""

from rich.table import Table


def new_table(title: str, first: str, *others: str) -> Table:
    """Return an empty table: the first column to the left, numbers to the right."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
