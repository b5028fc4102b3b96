import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from server import checkpoint
from server.checkpoint import Checkpoint, Kept
from shared.adapters.state import AdapterState
from shared.errors import RunError
from shared.ops import disk


def at(number: int) -> Checkpoint:
    return Checkpoint("run", number, "f" * 64, AdapterState({"b": np.full(4, number, dtype=np.float32)}))


def read(folder: Path) -> tuple[dict[str, Any], AdapterState]:
    """Return the committed state, as a resuming server would find it, after a check of its digest."""
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    adapter = AdapterState.load(folder / state["adapter"])
    assert adapter.digest() == state["adapter_digest"]
    return state, adapter


def test_a_new_checkpoint_replaces_the_old_one(tmp_path: Path) -> None:
    for number in (1, 2, 12):
        at(number).save(tmp_path)
        assert read(tmp_path)[0]["round"] == number
    assert {path.name for path in tmp_path.iterdir()} == {"state.json", "round-00012.safetensors"}


def test_the_same_round_may_be_written_again(tmp_path: Path) -> None:
    at(1).save(tmp_path)
    at(1).save(tmp_path)
    assert read(tmp_path)[0]["round"] == 1


class Killed(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), Killed()], ids=["disk full", "killed"])
@pytest.mark.parametrize(
    ("where", "name"),
    [(AdapterState, "save"), (os, "fsync"), (Path, "rename"), (Path, "write_text")],
    ids=["adapter", "flush", "rename", "state"],
)
def test_whatever_stops_a_checkpoint_the_last_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, failure: BaseException
) -> None:
    at(1).save(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(where, name, Mock(side_effect=failure))
        with pytest.raises((OSError, Killed)):
            at(2).save(tmp_path)
    state, adapter = read(tmp_path)
    assert state["round"] == 1
    assert adapter.digest() == at(1).adapter.digest()
    at(2).save(tmp_path)
    assert read(tmp_path)[0]["round"] == 2
    assert {path.name for path in tmp_path.iterdir()} == {"state.json", "round-00002.safetensors"}


def test_a_kill_between_the_two_renames_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at(1).save(tmp_path)
    commit, calls = disk.commit_file, []

    def second_dies(partial: Path, final: Path) -> None:
        calls.append(final)
        if len(calls) == 2:
            raise Killed
        commit(partial, final)

    monkeypatch.setattr(checkpoint, "commit_file", second_dies)
    with pytest.raises(Killed):
        at(2).save(tmp_path)
    assert read(tmp_path)[0]["round"] == 1


def test_everything_is_flushed_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    sync, rename = os.fsync, Path.rename
    monkeypatch.setattr(disk.os, "fsync", lambda handle: events.append("flush") or sync(handle))
    monkeypatch.setattr(Path, "rename", lambda path, to: events.append("rename") or rename(path, to))
    at(1).save(tmp_path)
    assert events == ["flush", "rename", "flush"] * 2


def test_a_checkpoint_comes_back_as_it_was_in_the_models_own_order(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert Checkpoint.load(folder) is None
    tensors = {"z": np.float32([1, 2]), "a": np.float32([[3]])}
    saved = Checkpoint("run", 4, "f" * 64, AdapterState(tensors), ({"number": 4},))
    saved.save(folder)
    found = Checkpoint.load(folder)
    assert found is not None
    assert (found.run_id, found.round, found.config_digest, found.rounds) == ("run", 4, "f" * 64, ({"number": 4},))
    assert found.adapter.digest() == saved.adapter.digest()
    assert list(found.adapter.arrays) == ["z", "a"]


def test_the_best_adapter_so_far_stays_until_there_is_a_better_one(tmp_path: Path) -> None:
    at(1).save(tmp_path)
    for number in (2, 3):
        replace(at(number), best=Kept(1, at(1).adapter)).save(tmp_path)
        found = Checkpoint.load(tmp_path)
        assert found is not None
        assert found.best is not None
        assert (found.round, found.best.round) == (number, 1)
        assert found.best.adapter.digest() == at(1).adapter.digest()
        assert {path.name for path in tmp_path.glob("*.safetensors")} == {
            f"round-0000{number}.safetensors",
            "best-00001.safetensors",
        }
    (tmp_path / "best-00001.safetensors").write_bytes((tmp_path / "round-00003.safetensors").read_bytes())
    with pytest.raises(RunError, match="digest"):
        Checkpoint.load(tmp_path)
    at(4).save(tmp_path)
    found = Checkpoint.load(tmp_path)
    assert found is not None
    assert (found.round, found.best) == (4, None)
    assert {path.name for path in tmp_path.glob("*.safetensors")} == {"round-00004.safetensors"}


def test_what_the_aggregation_keeps_comes_back_bit_for_bit_or_not_at_all(tmp_path: Path) -> None:
    kept = AdapterState({"b": np.float32([1e-38, -0.0, 1 / 3, 3e38])})
    for number in (1, 2):
        replace(at(number), memory={"momentum": kept}).save(tmp_path)
        found = Checkpoint.load(tmp_path)
        assert found is not None
        assert {name: state.digest() for name, state in found.memory.items()} == {"momentum": kept.digest()}
    assert {path.name for path in tmp_path.glob("*.safetensors")} == {
        "round-00002.safetensors",
        "momentum-00002.safetensors",
    }
    (tmp_path / "momentum-00002.safetensors").write_bytes((tmp_path / "round-00002.safetensors").read_bytes())
    with pytest.raises(RunError, match=r"momentum-00002\.safetensors does not have its digest"):
        Checkpoint.load(tmp_path)
    at(3).save(tmp_path)
    assert {path.name for path in tmp_path.glob("*.safetensors")} == {"round-00003.safetensors"}


@pytest.mark.parametrize("name", ["state.json", "round-00002.safetensors"])
def test_a_damaged_checkpoint_is_refused_in_one_line_at_every_byte(tmp_path: Path, name: str) -> None:
    at(2).save(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for cut in range(0, len(whole), max(1, len(whole) // 100)):
        (tmp_path / name).write_bytes(whole[:cut])
        with pytest.raises(RunError, match="restore the folder") as caught:
            Checkpoint.load(tmp_path)
        assert "\n" not in str(caught.value)
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        (tmp_path / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            found = Checkpoint.load(tmp_path)
        except RunError:
            continue
        assert found is not None  # a flipped bit elsewhere in the state, never another adapter
        assert found.adapter.digest() == at(2).adapter.digest()
