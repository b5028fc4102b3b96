"""A sheet of ten items and a session that serves it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from server.review.ratings import Ratings
from server.review.serve import RatingServer, RatingSession
from server.review.sheet import Pair, export, read_sheet


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    pairs = [Pair(f"prompt {n} <b>&", f"base answer {n}", f"tuned answer {n}") for n in range(10)]
    export([*pairs, Pair("same", "yes", " yes")], tmp_path / "review")
    return tmp_path / "review"


@pytest.fixture
def serve(sheet: Path) -> Iterator[Callable[[str], RatingServer]]:
    """``serve("rater")``: a running server on a free port."""
    with ExitStack() as running:
        yield lambda rater: running.enter_context(RatingServer(RatingSession(read_sheet(sheet), Ratings(sheet, rater)), 0))
