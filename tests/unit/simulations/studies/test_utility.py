"""The utility plot: its points are what they are called, each is a run of its own, and nothing private is spent."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Change, TinyRun

from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.metrics.bootstrap import Interval
from shared.ops.progress import silent
from simulations.studies import utility as module
from simulations.studies.search import trial_config
from simulations.studies.utility import Point, draw, points_of, utility


@pytest.fixture
def config(tiny_run: TinyRun, tmp_path: Path) -> RunConfig:
    privacy = {"epsilon": 3.0, "self_check": 1, "clipping_norm": 0.4}
    return tiny_run(tmp_path, {"adapter.rank": 4, "training.sampling_rate": 0.7, "privacy": privacy})


def test_each_point_differs_from_the_config_in_its_own_setting_alone(config: RunConfig) -> None:
    points = points_of(config)
    assert [value for panel, value, _ in points if panel == "epsilon"] == [None, 8.0, 3.0, 1.0]
    assert {panel: [v for p, v, _ in points if p == panel] for panel in module.FACTORS} == {
        "privacy.clipping_norm": [0.1, 0.4, 1.6],
        "adapter.rank": [2, 4, 8],
        "training.sampling_rate": [0.35, 0.7, 1.0],  # a chance is at most 1
    }
    for panel, value, settings in points:
        run = trial_config(config, settings)
        assert run.privacy.enabled is (value is not None)
        if panel != "epsilon":
            section, name = panel.split(".")
            assert getattr(getattr(run, section), name) == value
            assert run.privacy.epsilon == 8.0
            assert len(settings) <= 3
    whole = [settings for _, _, settings in points]
    assert sum(settings == {"privacy.enabled": True, "privacy.epsilon": 8.0} for settings in whole) == 4


def test_ia3_has_no_rank_to_change(config: RunConfig) -> None:
    scaled = RunConfig.parse({**config.model_dump(mode="json"), "adapter": {"family": "ia3"}}, "test")
    assert {panel for panel, _, _ in points_of(scaled)} == {"epsilon", "privacy.clipping_norm", "training.sampling_rate"}


@pytest.mark.slow
def test_every_point_is_a_run_and_shared_ones_run_once(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, plainly: Callable[..., Any]
) -> None:
    monkeypatch.setattr(module, "scrub_sites", plainly)
    monkeypatch.setattr(module, "EPSILONS", (8.0,))
    monkeypatch.setattr(module, "FACTORS", {"adapter.rank": (1.0,)})
    runs: list[RunConfig] = []
    original = module.train_federation
    monkeypatch.setattr(module, "train_federation", lambda run, *rest: runs.append(run) or original(run, *rest))
    folder, points = utility(config, silent)
    assert [run.privacy.enabled for run in runs] == [False, True]
    assert [(p.panel, p.value) for p in points] == [("epsilon", None), ("epsilon", 8.0), ("adapter.rank", 4)]
    assert points[1].result == points[2].result
    assert points[0].measure == "accuracy"
    assert [row["value"] for row in json.loads((folder / "utility.json").read_text(encoding="utf-8"))] == [None, 8.0, 4]
    assert "<svg" in (folder / "utility.svg").read_text(encoding="utf-8")


def test_the_plot_has_a_panel_for_each_setting_and_the_level_without_privacy_in_all(config: RunConfig) -> None:
    points = [Point(panel, value, {}, "accuracy", Interval(0.7, 0.6, 0.8)) for panel, value, _ in points_of(config)]
    points[0] = Point("epsilon", None, {}, "accuracy", Interval(0.9, 0.8, 0.95))
    figure = draw(points)
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "epsilon",
        "clipping norm C at epsilon 8",
        "rank at epsilon 8",
        "sampling rate q at epsilon 8",
    ]
    assert figure.axes[0].get_ylabel() == "accuracy"
    first = figure.axes[0].get_lines()[0].get_xdata()
    assert list(first) == [1.0, 3.0, 8.0]


def test_a_wrong_setting_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        module.main(str(Path(__file__).parents[4] / "configs" / "utility.toml"), "training.rouns=3")
    assert ended.value.code == 1
    assert "nearest is 'training.rounds'" in capsys.readouterr().err


def test_private_records_are_not_spent_on_a_plot(config: RunConfig, change: Change, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"privacy\.ledger"):
        utility(change(config, {"privacy.ledger": str(tmp_path / "books")}), silent)
