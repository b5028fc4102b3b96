"""Finished rows of a comparison in SQLite; each is written whole, so an interrupted comparison loses none."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from shared.errors import RunError
from shared.tasks.base import Outcome

SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY,
    row TEXT NOT NULL,
    places BLOB NOT NULL,
    first BLOB NOT NULL,
    second BLOB NOT NULL
)
"""


@dataclass(frozen=True)
class Arm:
    """What one row runs: a method on a base model, at some sites, with an epsilon (None: no privacy) and a seed."""

    method: str
    model: str
    sites: tuple[str, ...] = ()
    epsilon: float | None = None
    seed: int = 0
    note: str = ""

    @classmethod
    def of(cls, row: dict[str, object]) -> Self:
        """Return an arm from its plain values."""
        return cls(**{**row, "sites": tuple(row["sites"])})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Result:
    """The result of an arm: its outcome on the test records at ``places``, and its cost."""

    arm: Arm
    outcome: Outcome = field(repr=False)
    places: np.ndarray = field(repr=False)
    bytes: int = 0
    seconds: float = 0.0
    kwh: float = 0.0


class Results:
    """The results of a comparison, by the digest of all that decides them."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with self._opened() as connection:
            connection.execute(SCHEMA)

    def get(self, key: str) -> Result | None:
        """Return the finished result of a key, or None."""
        with self._opened() as connection:
            found = connection.execute("SELECT row, places, first, second FROM results WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        row = json.loads(found[0])
        outcome = Outcome(np.frombuffer(found[2], dtype="<f8"), np.frombuffer(found[3], dtype="<f8"))
        took = {name: row[name] for name in ("bytes", "seconds", "kwh")}
        return Result(Arm.of(row["arm"]), outcome, np.frombuffer(found[1], dtype="<i8"), **took)

    def put(self, key: str, result: Result) -> None:
        """Keep a finished result; it is on the disk when this returns."""
        row = {"arm": asdict(result.arm), "bytes": result.bytes, "seconds": result.seconds, "kwh": result.kwh}
        columns = [np.asarray(result.places, dtype="<i8"), *(np.asarray(side, dtype="<f8") for side in _sides(result))]
        with self._opened() as connection, connection:
            values = (key, json.dumps(row), *(column.tobytes() for column in columns))
            connection.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)", values)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise RunError(f"{self._path}: cannot be used for results ({error}); move it away or set run.output") from error


def _sides(result: Result) -> tuple[np.ndarray, np.ndarray]:
    return result.outcome.first, result.outcome.second
