"""What a check of a folder found: one line each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shared.errors import HushtuneError


@dataclass(frozen=True)
class Flaw:
    """One thing that is wrong with one file, and what to do; not ``fatal`` when it still works today."""

    path: Path
    what: str
    remedy: str
    fatal: bool = True

    def __str__(self) -> str:
        """The line that a person reads."""
        return f"{self.path}: {self.what}; {self.remedy}"

    @classmethod
    def of(cls, error: HushtuneError) -> Self:
        """The flaw that an error's ``PATH: WHAT; REMEDY`` tells of."""
        path, _, rest = str(error).partition(": ")
        what, _, remedy = rest.partition("; ")
        return cls(Path(path), what, remedy or "correct it in an editor")
