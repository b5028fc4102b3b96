"""Make what several tables of this folder have in common."""

from collections.abc import Mapping

from rich.table import Table

from server.report.figures import share


def new_table(title: str, first: str, *others: str) -> Table:
    """Return an empty table whose first column is aligned to the left, and the others, for numbers, to the right."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def share_of(row: Mapping[str, float]) -> str:
    """Format a share with its interval: ``95.1 % (93.9 to 96.3)``."""
    return f"{share(row['value'])} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"
