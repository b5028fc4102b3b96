"""Represent a problem that a check of a folder found, printed as one line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shared.errors import HushtuneError


@dataclass(frozen=True)
class Flaw:
    """One problem with one file, and its remedy; ``fatal`` is false if the file still works today."""

    path: Path
    what: str
    remedy: str
    fatal: bool = True

    def __str__(self) -> str:
        """Return the line that is printed."""
        return f"{self.path}: {self.what}; {self.remedy}"

    @classmethod
    def of(cls, error: HushtuneError) -> Self:
        """Make a flaw from an error whose message has the form ``PATH: WHAT; REMEDY``."""
        path, _, rest = str(error).partition(": ")
        what, _, remedy = rest.partition("; ")
        return cls(Path(path), what, remedy or "correct it in an editor")
