"""The search itself, on objectives that are formulas: what it finds, and what a kill costs."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.config.run import RunConfig
from shared.errors import ConfigError, LedgerError, PrivacyError, RunError
from simulations.studies.search import Report, search, trial_config

ROOT = Path(__file__).parents[4]
SPACE = [
    {"field": "training.learning_rate", "low": 1e-4, "high": 1.0, "log": True},
    {"field": "adapter.rank", "choices": [2, 4, 8]},
]
TREE = {
    "task": {"labels": ["no", "yes"]},
    "data": {"sites": [{"id": "north", "file": "n.jsonl", "declared_size": 100}]},
    "evaluation": {"validation": 0.5},
    "sweep": {"trials": 4, "space": SPACE},
}
# Two trials end, the third dies by SIGKILL in its middle.
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from shared.config.run import RunConfig
from simulations.studies.search import search

seen = []
def objective(config, report):
    seen.append(config.training.learning_rate)
    report(1, 0.5)
    print(repr(config.training.learning_rate), flush=True)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return config.training.learning_rate

search(RunConfig.parse({tree!r}, "test"), Path({folder!r}), objective, lambda count: None)
"""


@pytest.fixture
def config() -> RunConfig:
    return RunConfig.parse(TREE, "test")


def nothing(count: int) -> None:
    """No bar."""


def rate(config: RunConfig, report: Report) -> float:
    return config.training.learning_rate


@pytest.mark.slow
def test_a_search_that_is_killed_and_resumed_loses_no_finished_trial(config: RunConfig, tmp_path: Path) -> None:
    code = KILLED.format(root=str(ROOT), tree=TREE, folder=str(tmp_path))
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = [float(line) for line in killed.stdout.split()]
    assert len(before) == 3
    ran: list[float] = []

    def objective(trial: RunConfig, report: Report) -> float:
        ran.append(trial.training.learning_rate)
        return trial.training.learning_rate

    advanced: list[int] = []
    found = search(config, tmp_path, objective, advanced.append)
    assert len(ran) == 2  # four in all, two of them finished before
    assert ran[0] == pytest.approx(before[2])  # the one that died is run again with its settings
    values = [trial.value for trial in found.trials]
    assert values[:2] == pytest.approx(before[:2])
    assert len(values) == sum(advanced) == 4
    assert found.best.training.learning_rate == pytest.approx(max(value for value in values if value))
    assert search(config, tmp_path, objective, nothing) == found
    assert len(ran) == 2


def test_a_trial_is_stopped_when_it_does_worse_than_the_median_of_earlier_ones(tmp_path: Path) -> None:
    config = RunConfig.parse({**TREE, "sweep": {"trials": 6, "space": SPACE}}, "test")
    started: list[int] = []
    ended: list[int] = []

    def objective(trial: RunConfig, report: Report) -> float:
        started.append(1)
        value = 0.9 if len(started) <= 5 else 0.1
        report(1, value)
        ended.append(1)
        return value

    found = search(config, tmp_path, objective, nothing)
    assert [trial.state for trial in found.trials] == ["complete"] * 5 + ["pruned"]
    assert len(ended) == 5


def test_a_plan_that_cannot_be_met_is_a_pruned_trial_and_a_used_up_budget_ends_the_search(
    config: RunConfig, tmp_path: Path
) -> None:
    calls: list[int] = []

    def objective(trial: RunConfig, report: Report) -> float:
        calls.append(1)
        if len(calls) == 1:
            raise PrivacyError("no plan")
        if len(calls) == 3:
            raise LedgerError("budget exhausted")
        return 0.5

    with pytest.raises(LedgerError):
        search(config, tmp_path, objective, nothing)
    assert len(calls) == 3
    found = search(config, tmp_path, rate, nothing)
    assert [trial.state for trial in found.trials][:2] == ["pruned", "complete"]
    assert len(found.trials) == 4


def test_a_folder_with_another_search_is_refused(config: RunConfig, tmp_path: Path) -> None:
    search(config, tmp_path, rate, nothing)
    other = RunConfig.parse({**TREE, "run": {"seed": 3}}, "test")
    with pytest.raises(RunError, match="another config"):
        search(other, tmp_path, rate, nothing)
    more = RunConfig.parse({**TREE, "sweep": {"trials": 5, "space": SPACE}}, "test")
    assert len(search(more, tmp_path, rate, nothing).trials) == 5  # more trials are the same search


def test_a_search_without_a_finished_trial_says_so(config: RunConfig, tmp_path: Path) -> None:
    def objective(trial: RunConfig, report: Report) -> float:
        raise PrivacyError("no plan")

    with pytest.raises(RunError, match="no trial of 4 met its plan"):
        search(config, tmp_path, objective, nothing)


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ([{"field": "training.lerning_rate", "low": 0.1, "high": 1}], "lerning_rate"),
        ([{"field": "training.learning_rate", "low": -1.0, "high": 1}], "learning_rate"),
        ([{"field": "training.learning_rate", "low": 1.0, "high": 0.5}], "below high"),
        ([{"field": "training.learning_rate", "low": 0.0, "high": 0.5, "log": True}], "above 0"),
        ([{"field": "training.learning_rate"}], "low and high, or choices"),
        ([{"field": "adapter.rank", "low": 1, "high": 4, "choices": [1]}], "low and high, or choices"),
        ([], "sweep"),
    ],
)
def test_a_space_that_does_not_fit_is_refused_before_the_first_trial(
    tmp_path: Path, space: list[dict[str, Any]], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        search(RunConfig.parse({**TREE, "sweep": {"space": space}}, "test"), tmp_path, rate, nothing)


def test_a_trial_has_the_fields_that_were_searched_and_no_search(config: RunConfig) -> None:
    trial = trial_config(config, {"adapter.rank": 4, "training.schedule": "cosine"})
    assert (trial.adapter.rank, trial.training.schedule, trial.sweep) == (4, "cosine", None)
    assert trial.data == config.data
