"""A sweep over tiny federations: its best config runs as it stands, and private records are asked for and charged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Change, TinyRun

from privacy.entries import read
from shared.config.run import RunConfig
from shared.errors import ConfigError, RunError
from shared.ops.progress import Advance, silent
from simulations.studies import sweep as sweeping
from simulations.studies.sweep import sweep


@pytest.fixture
def config(tiny_run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plainly: Callable[..., Any]) -> RunConfig:
    monkeypatch.setattr(sweeping, "scrub_sites", plainly)
    space = [{"field": "training.learning_rate", "choices": [0.01, 0.1]}]
    privacy = {"epsilon": 1.0, "self_check": 1}
    return tiny_run(tmp_path, {"privacy": privacy, "evaluation.validation": 0.5, "sweep": {"trials": 2, "space": space}})


def never(question: str) -> bool:
    raise AssertionError("asked about records that no ledger keeps")


def not_begun(stage: str, total: int) -> Advance:
    raise AssertionError(f"stage {stage} began")


@pytest.mark.slow
def test_the_best_config_is_written_as_a_run_that_can_be_started(config: RunConfig) -> None:
    folder, document = sweep(config, silent, never)
    best = RunConfig.load(folder / "best.toml")
    assert best.sweep is None
    assert best.training.learning_rate in (0.01, 0.1)
    assert best.data == config.data
    assert len(document["trials"]) == 2
    assert json.loads((folder / "sweep.json").read_text(encoding="utf-8")) == document


@pytest.mark.slow
def test_on_private_records_each_trial_asks_first_and_is_charged(config: RunConfig, change: Change, tmp_path: Path) -> None:
    private = change(config, {"privacy.ledger": str(tmp_path / "books"), "privacy.budget": 4.0, "sweep.prune": False})
    questions: list[str] = []

    def once(question: str) -> bool:
        questions.append(question)
        return len(questions) == 1

    with pytest.raises(RunError, match="not agreed to"):
        sweep(private, silent, once)
    ledger = tmp_path / "books" / "north" / "ledger.jsonl"
    assert [entry.kind for entry in read(ledger)] == ["open", "reserve", "commit"]  # of the first trial alone
    assert "north: 0 spent" in questions[0]
    assert "budget 4" in questions[1]
    assert "north: 0 spent" not in questions[1]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"evaluation.validation": 0.0}, "evaluation.validation"),
        ({"privacy.enabled": False, "privacy.ledger": "books"}, "privacy.enabled"),
        ({"sweep": None}, "names no search"),
    ],
)
def test_what_cannot_be_searched_is_refused(config: RunConfig, change: Change, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        sweep(change(config, changes), not_begun, never)
