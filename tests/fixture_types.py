"""The types of the functions that the fixtures of conftest.py return."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.config.run import RunConfig
from shared.records.types import RawRecord, Record

if TYPE_CHECKING:
    from privacy.budget import Budget
    from shared.tasks.base import Learner

ConfigOf = Callable[..., RunConfig]
Change = Callable[..., RunConfig]
LearnerOf = Callable[[RunConfig], "Learner"]
RecordsOf = Callable[..., list[Record]]
Shake = Callable[..., None]
OpenBudget = Callable[..., "Budget"]
Said = Callable[..., tuple[int, str, str]]
Write = Callable[[Path, Sequence[Mapping[str, Any]]], Path]
Refused = Callable[[Path, RunConfig], str]
Read = Callable[..., list[RawRecord]]
Refusal = Callable[..., str]
TinyRun = Callable[[Path, Mapping[str, Any]], RunConfig]
