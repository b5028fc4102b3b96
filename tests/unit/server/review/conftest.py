"""A sheet of ten items and a desk that serves it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from server.review.ratings import Ratings
from server.review.serve import Desk, Server
from server.review.sheet import Pair, export, read_sheet


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    pairs = [Pair(f"prompt {n} <b>&", f"base answer {n}", f"tuned answer {n}") for n in range(10)]
    export([*pairs, Pair("same", "yes", " yes")], tmp_path / "review")
    return tmp_path / "review"


@pytest.fixture
def serve(sheet: Path) -> Iterator[Callable[[str], Server]]:
    """``serve("rater")``: a running server on a free port."""
    running: list[Server] = []

    def start(rater: str) -> Server:
        server = Server(Desk(read_sheet(sheet), Ratings(sheet, rater)), 0)
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
