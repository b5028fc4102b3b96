from pathlib import Path

import numpy as np

from client.memory import Memory
from shared.adapters.state import AdapterState


def moments(value: float) -> AdapterState:
    return AdapterState({"0/exp_avg": np.full(3, value, dtype=np.float32), "0/step": np.float32(value).reshape(())})


def test_a_round_starts_from_the_moments_after_the_one_before_also_after_a_restart(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "memory"):
        memory = Memory(folder)
        assert memory.before("run", 1) is None
        for number in (1, 2, 4):
            memory.keep("run", number, moments(number))
        for each in (memory, Memory(folder)) if folder else (memory,):
            found = {number: each.before("run", number) for number in (3, 4, 5)}
            assert {n: m and m.digest() for n, m in found.items()} == {
                3: moments(2).digest(),
                4: moments(2).digest(),  # asked again: not from its own
                5: moments(4).digest(),
            }


def test_another_run_starts_from_nothing_and_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.keep("one", 1, moments(1))
    assert memory.before("two", 2) is None
    memory.keep("two", 1, moments(5))
    assert [path.name for path in tmp_path.iterdir()] == ["two-1.safetensors"]


def test_only_the_last_two_are_kept(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    for number in range(1, 6):
        memory.keep("run", number, moments(number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-4.safetensors", "run-5.safetensors"]
