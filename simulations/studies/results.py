"""Store the finished rows of a comparison in SQLite, each whole or not at all, so an interruption loses none."""

import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from shared.errors import RunError
from shared.tasks.outcome import Outcome

PLACES = "places"  # array of indices, stored beside those of the outcome, none of which has this name
SCHEMA = """
CREATE TABLE IF NOT EXISTS outcomes (
    key TEXT PRIMARY KEY,
    row TEXT NOT NULL,
    arrays BLOB NOT NULL
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

    @classmethod
    def of(cls, row: dict[str, object]) -> Self:
        """Return an arm from its plain values."""
        return cls(**{**row, "sites": tuple(row["sites"])})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Result:
    """The result of an arm: its outcome on the test records with the indices ``places``, and its cost.

    ``bytes`` are those on the wire in both directions, ``kwh`` the electricity (0 where it is not known).
    """

    arm: Arm
    outcome: Outcome = field(repr=False)
    places: np.ndarray = field(repr=False)
    bytes: int = 0
    seconds: float = 0.0
    kwh: float = 0.0


class Results:
    """The results of a comparison, by the digest of everything that they depend on."""

    def __init__(self, path: Path, kind: type[Outcome]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._kind = path, kind
        with self._opened() as connection:
            connection.execute(SCHEMA)

    def get(self, key: str) -> Result | None:
        """Return the finished result of a key, or None."""
        with self._opened() as connection:
            found = connection.execute("SELECT row, arrays FROM outcomes WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        row = json.loads(found[0])
        with np.load(io.BytesIO(found[1]), allow_pickle=False) as kept:
            arrays = dict(kept)
        places = arrays.pop(PLACES)
        took = {name: row[name] for name in ("bytes", "seconds", "kwh")}
        return Result(Arm.of(row["arm"]), self._kind(labels=tuple(row["labels"]), **arrays), places, **took)

    def put(self, key: str, result: Result) -> None:
        """Keep a finished result; it is on the disk when this returns."""
        took = {"bytes": result.bytes, "seconds": result.seconds, "kwh": result.kwh}
        row = {"arm": asdict(result.arm), "labels": result.outcome.labels, **took}
        arrays: dict[str, Any] = {PLACES: result.places, **result.outcome.arrays()}
        kept = io.BytesIO()
        np.savez(kept, **arrays)
        with self._opened() as connection, connection:
            values = (key, json.dumps(row), kept.getvalue())
            connection.execute("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?)", values)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise RunError(f"{self._path}: cannot be used for results ({error}); move it away or set run.output") from error
