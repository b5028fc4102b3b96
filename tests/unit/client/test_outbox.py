import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.numpy import save_file

from client import outbox as outbox_module
from client.outbox import ROUNDS, RUNS, Finished, Outbox
from shared.adapters.state import AdapterState
from shared.errors import MessageError, RunError

DELTA = AdapterState({"z": np.float32([[1.0, -0.0], [3e-40, 4.0]]), "a": np.float32([5.0]), "m": np.array(7, np.float32)})
DONE = Finished(DELTA, {"loss": 0.1 + 0.2, "records": -3.5e-300})
START = "5" * 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


@pytest.fixture
def outbox(folder: Path) -> Outbox:
    return Outbox(folder)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_reply_comes_back_bit_for_bit_and_in_the_models_order_and_only_its_owner_may_read_it(
    outbox: Outbox, folder: Path
) -> None:
    assert outbox.stored("run", 1, START) is None
    outbox.store("run", 1, START, DONE)
    assert (folder / "run/round-000001.safetensors").stat().st_mode & 0o077 == 0
    again = Outbox(folder).stored("run", 1, START)
    assert again is not None
    assert again.delta.spec == DELTA.spec  # safetensors alone would sort the names
    assert again.delta.digest() == DELTA.digest()
    assert again.released == DONE.released


@settings(max_examples=25, deadline=None)
@given(array=hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)), number=st.integers(1, 10**6))
def test_any_float32_numbers_are_kept_as_they_are(
    tmp_path_factory: pytest.TempPathFactory,
    array: np.ndarray,
    number: int,  # type: ignore[type-arg]
) -> None:
    outbox = Outbox(tmp_path_factory.mktemp("outbox"))
    outbox.store("run", number, START, Finished(AdapterState({"x": array})))
    again = outbox.stored("run", number, START)
    assert again is not None
    assert again.delta.arrays["x"].tobytes() == array.tobytes()


@pytest.mark.slow
def test_a_process_that_dies_while_it_stores_leaves_no_reply_and_the_next_one_cleans_up(
    outbox: Outbox, folder: Path
) -> None:
    code = (
        "import os, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from client import outbox\n"
        "from shared.adapters.state import AdapterState\n"
        "outbox.commit_file = lambda *_: os._exit(9)\n"
        "done = outbox.Finished(AdapterState({'x': np.zeros(3, dtype=np.float32)}))\n"
        "outbox.Outbox(Path(sys.argv[1])).store('run', 1, 's', done)\n"
    )
    died = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert died.returncode == 9
    assert files(folder) == ["run/round-000001.partial"]
    assert outbox.stored("run", 1, START) is None
    outbox.store("run", 2, START, DONE)
    assert files(folder) == ["run/round-000002.safetensors"]


def test_a_full_disk_leaves_what_was_there(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox.store("run", 1, START, DONE)
    monkeypatch.setattr(outbox_module, "save_file", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        outbox.store("run", 2, START, DONE)
    monkeypatch.undo()
    kept = outbox.stored("run", 1, START)
    assert kept is not None
    assert kept.delta.digest() == DELTA.digest()
    assert outbox.stored("run", 2, START) is None


@pytest.mark.parametrize("cut", [0, 1, 8, 60, -1])
def test_a_cut_reply_is_refused_and_never_read_as_absent(outbox: Outbox, folder: Path, cut: int) -> None:
    outbox.store("run", 1, START, DONE)
    path = folder / "run/round-000001.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(RunError, match="round 1 stays spent"):
        outbox.stored("run", 1, START)


def test_a_changed_number_or_a_file_moved_to_another_round_is_refused(outbox: Outbox, folder: Path) -> None:
    outbox.store("run", 1, START, DONE)
    path = folder / "run/round-000001.safetensors"
    content = bytearray(path.read_bytes())
    moved = folder / "run/round-000002.safetensors"
    moved.write_bytes(content)
    content[-1] ^= 1
    path.write_bytes(content)
    for number in (1, 2):
        with pytest.raises(RunError, match="damaged"):
            outbox.stored("run", number, START)


@pytest.mark.parametrize("run_id", ["../run", "a/b", "", ".", "..", "run\n", "x" * 200])
def test_a_run_that_is_no_short_name_touches_nothing(outbox: Outbox, folder: Path, run_id: str) -> None:
    with pytest.raises(MessageError, match="not a short name"):
        outbox.store(run_id, 1, START, DONE)
    with pytest.raises(MessageError, match="not a short name"):
        outbox.stored(run_id, 1, START)
    assert not folder.exists()


def test_it_does_not_grow_with_rounds_and_runs(outbox: Outbox, folder: Path) -> None:
    for run in range(RUNS + 3):
        for number in range(1, ROUNDS + 4):
            outbox.store(f"run{run}", number, START, DONE)
    assert len(files(folder)) == RUNS * ROUNDS
    assert outbox.stored(f"run{RUNS + 2}", ROUNDS + 3, START) is not None
    assert outbox.stored("run0", ROUNDS + 3, START) is None
    assert outbox.stored(f"run{RUNS + 2}", 1, START) is None


def test_two_runs_that_take_turns_keep_their_last_replies(outbox: Outbox) -> None:
    for number in range(1, 6):
        for run in ("one", "two"):
            outbox.store(run, number, START, DONE)
    assert outbox.stored("one", 5, START) is not None
    assert outbox.stored("two", 5, START) is not None


def test_storing_the_same_round_again_keeps_one_reply(outbox: Outbox, folder: Path) -> None:
    outbox.store("run", 1, START, DONE)
    outbox.store("run", 1, START, DONE)
    assert files(folder) == ["run/round-000001.safetensors"]


def test_a_round_that_was_answered_for_another_adapter_is_not_answered_again(outbox: Outbox) -> None:
    outbox.store("run", 1, START, DONE)
    with pytest.raises(MessageError, match="round 1 of run run was answered for another adapter or another list"):
        outbox.stored("run", 1, "6" * 64)


@pytest.mark.parametrize("change", [{"round": 2}, {"released": {"loss": 9.0, "more": None}}, {"start": 7}, {"run_id": "x"}])
def test_a_header_that_does_not_fit_its_place_is_refused(outbox: Outbox, folder: Path, change: dict[str, object]) -> None:
    outbox.store("run", 1, START, DONE)
    path = folder / "run/round-000001.safetensors"
    with safe_open(path, framework="numpy") as stream:
        header = json.loads(stream.metadata()["reply"])
        arrays = {name: stream.get_tensor(name) for name in header["names"]}
    save_file(arrays, path, {"reply": json.dumps(header | change)})
    with pytest.raises((RunError, MessageError)):
        outbox.stored("run", 1, START)


def test_without_a_folder_the_last_reply_alone_is_remembered() -> None:
    outbox = Outbox()
    outbox.store("run", 1, START, DONE)
    assert outbox.stored("run", 1, START) == DONE
    assert outbox.stored("run", 1, "6" * 64) is None
    outbox.store("run", 2, START, DONE)
    assert outbox.stored("run", 1, START) is None
