"""How a long command says where it is."""

from typing import Protocol


class Progress(Protocol):
    """Where a run says how far it is."""

    def stage(self, name: str, total: int) -> None:
        """A stage of ``total`` units begins; the one before is over."""

    def advance(self, count: int) -> None:
        """``count`` more units of the stage are done."""
