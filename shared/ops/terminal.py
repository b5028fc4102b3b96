"""Print tables and pages to a terminal, which acts on nothing that is in their texts."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from shared.errors import escaped


class Terminal(Console):
    """A console of Rich that shows texts as they are: brackets are no markup, and control characters are escaped.

    Parameters
    ----------
    options : Any
        Options of Rich's console.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def show(self, parts: Iterable[RenderableType]) -> None:
        """Print each part in full: a line is left to the terminal to wrap, and a table or a page is wrapped to the width."""
        for part in parts:
            self.print(part, soft_wrap=isinstance(part, str | Text))

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the pieces of what is printed; Rich adds its own colours to them later."""
        if isinstance(renderable, Table):
            for column in renderable.columns:  # else a word that is wider than its column is cut
                column.overflow = "fold"
        for piece in super().render(renderable, options):
            safe = piece.text if piece.control else escaped(piece.text, keep="\n")
            yield piece if safe == piece.text else Segment(safe, piece.style)
