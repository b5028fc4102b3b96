"""Print tables and pages to a terminal, which acts on nothing that is in their texts."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

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

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the pieces of what is printed; Rich adds its own colours to them later."""
        for piece in super().render(renderable, options):
            safe = piece.text if piece.control else escaped(piece.text, keep="\n")
            yield piece if safe == piece.text else Segment(safe, piece.style)
