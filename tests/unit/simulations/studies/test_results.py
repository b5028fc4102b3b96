import sqlite3
from pathlib import Path

import numpy as np
import pytest

from shared.errors import RunError
from shared.tasks.classification import ClassOutcome
from simulations.studies.results import Arm, Result, Results


def result(seed: int = 0) -> Result:
    arm = Arm("federation", "minilm", ("north", "south"), 3.0, seed)
    outcome = ClassOutcome(labels=("no", "yes"), truth=np.array([0, 1, 1]), predicted=np.array([0, 0, 1]))
    return Result(arm, outcome, np.array([0, 4, 9]), 12_345, 6.5, 0.001)


def test_a_result_comes_back_as_it_was_put(tmp_path: Path) -> None:
    results = Results(tmp_path / "new" / "compare.sqlite", ClassOutcome)
    assert results.get("a") is None
    results.put("a", result())
    found = Results(tmp_path / "new" / "compare.sqlite", ClassOutcome).get("a")
    assert found is not None
    assert found.arm == result().arm
    assert (found.bytes, found.seconds, found.kwh) == (12_345, 6.5, 0.001)
    assert found.places.tolist() == [0, 4, 9]
    assert found.outcome.labels == ("no", "yes")
    assert {name: values.tolist() for name, values in found.outcome.arrays().items()} == {
        "truth": [0, 1, 1],
        "predicted": [0, 0, 1],
    }
    assert results.get("b") is None


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "compare.sqlite").write_text("this is a text " * 100)
    with pytest.raises(RunError, match="move it away") as caught:
        Results(tmp_path / "compare.sqlite", ClassOutcome)
    assert "\n" not in str(caught.value)


def test_what_another_process_wrote_half_is_not_there(tmp_path: Path) -> None:
    results = Results(tmp_path / "compare.sqlite", ClassOutcome)
    results.put("a", result())
    open_ = sqlite3.connect(tmp_path / "compare.sqlite")
    open_.execute("INSERT INTO outcomes SELECT 'half', row, arrays FROM outcomes")  # never committed
    open_.close()
    assert results.get("half") is None
    assert results.get("a") is not None
