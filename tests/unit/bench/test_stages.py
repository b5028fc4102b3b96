"""The bench of stages: whole simulations in fresh processes, told apart by their own progress."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from bench import stages
from simulations import run as simulations_run


def test_stages_are_those_of_the_progress_and_together_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def simulate(config: object, progress: Callable[[str, int], object], workers: int) -> None:
        asked.append((config, workers))
        for stage in ("calibrate", "train"):
            progress(stage, 1)

    monkeypatch.setattr(simulations_run, "simulate", simulate)
    monkeypatch.setattr("shared.config.run.RunConfig.load", lambda path, overrides: (path, overrides))
    rows = stages._once("here.toml", ["run.seed=2"], 2)  # type: ignore[arg-type]
    assert asked == [(("here.toml", ["run.seed=2"]), 2)]
    assert [row["stage"] for row in rows] == ["start", "calibrate", "train", "all"]
    assert sum(row["seconds"] for row in rows[:-1]) == pytest.approx(rows[-1]["seconds"], abs=0.01)


def test_the_median_of_each_stage_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    turns = iter([1.0, 9.0, 2.0])

    def run(command: Sequence[str], **_: Any) -> SimpleNamespace:
        assert command[-1] == "--once"
        row = f'[{{"stage": "train", "seconds": {next(turns)}, "processor": 0.5}}]'
        return SimpleNamespace(returncode=0, stdout=f"a line\n{row}\n", stderr="")

    monkeypatch.setattr(stages.subprocess, "run", run)
    monkeypatch.setattr("sys.argv", ["stages", "bench/trivial.toml"])
    stages.main()
    assert "2.00" in capsys.readouterr().out


def test_a_run_that_fails_says_its_last_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SimpleNamespace(returncode=2, stdout="", stderr="a traceback\nrun.seed: is no number\n")
    monkeypatch.setattr(stages.subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr("sys.argv", ["stages", "bench/trivial.toml"])
    with pytest.raises(SystemExit, match=r"run\.seed: is no number"):
        stages.main()
