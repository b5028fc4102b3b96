"""Trackers get a report's numbers, once a run; the real ones are used where they are installed."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from fixture_types import ConfigOf

import server.tracking as tracking
from server.tracking import track
from server.tracking.mlflow import MlflowStore
from server.tracking.tensorboard import TensorboardFolder
from server.tracking.tracked import Tracked, tracked
from server.tracking.wandb import WandbFolder
from shared.errors import ConfigError
from shared.ops import extras


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


@pytest.fixture
def document(config_of: ConfigOf) -> dict[str, Any]:
    rounds = [
        {"round": n, "metrics": {"accuracy": interval(0.5 + 0.1 * n)}, "seconds": 2.0 * n, "bytes_up": 10, "bytes_down": 20}
        for n in (1, 2)
    ]
    return {
        "run": "wards",
        "run_id": "0a1b",
        "config": config_of({"training.rounds": 2}).model_dump(mode="json"),
        "rounds": rounds,
        "base": {"accuracy": interval(0.4)},
        "final": {"accuracy": interval(0.7)},
        "sites": [{"site_id": "north", "epsilon": 7.9}, {"site_id": "south", "epsilon": None}],
    }


class Kept:
    """A tracker that remembers."""

    runs: list[Tracked]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, run: Tracked) -> None:
        self.runs.append(run)


def test_what_is_tracked_stands_in_the_report(document: dict[str, Any], tmp_path: Path) -> None:
    run = tracked(document, tmp_path)
    points = {(point.name, point.step): point.value for point in run.points}
    assert points["accuracy", 1] == pytest.approx(0.6)
    assert points["seconds", 2] == 4.0
    assert points["final/accuracy/low", 2] == pytest.approx(0.6)
    assert points["epsilon/north", 2] == 7.9
    assert ("epsilon/south", 2) not in points
    assert run.settings["training.rounds"] == "2"
    assert run.settings["data.sites.1.id"] == "south"
    assert all(run.settings.values())


@pytest.mark.parametrize(("chosen", "installed", "puts"), [("auto", True, 1), ("auto", False, 0), ("none", True, 0)])
def test_mlflow_is_used_when_installed_unless_the_config_says_otherwise(
    document: dict[str, Any],
    config_of: ConfigOf,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    chosen: str,
    installed: bool,
    puts: int,
) -> None:
    Kept.runs = []
    monkeypatch.setattr(tracking, "TRACKERS", {"mlflow": Kept})
    monkeypatch.setattr(extras, "_is_met", lambda requirement: installed)
    track(document, tmp_path, config_of({"report.tracking": chosen}))
    assert len(Kept.runs) == puts


def test_a_tracker_that_is_not_there_is_one_line(
    document: dict[str, Any], config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(extras, "is_installed", lambda package: False)
    with pytest.raises(ConfigError, match=r"tracking = 'mlflow' needs .* pip install 'hushtune\[tracking\]'") as caught:
        track(document, tmp_path, config_of({"report.tracking": "mlflow"}))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="needs mlflow: pip install 'hushtune[tracking]'")
def test_a_real_mlflow_store_keeps_each_run_once(document: dict[str, Any], tmp_path: Path) -> None:
    store = MlflowStore(tmp_path)
    for _ in range(2):
        store.put(tracked(document, tmp_path))
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store.uri)
    experiment = client.get_experiment_by_name("hushtune")
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["training.rounds"] == "2"
    assert run.data.metrics["final/accuracy/value"] == pytest.approx(0.7)
    assert [metric.value for metric in client.get_metric_history(run.info.run_id, "accuracy")] == pytest.approx([0.6, 0.7])
    assert run.data.tags["hushtune.report"] == str(tmp_path / "report.html")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="needs tensorboard: 'hushtune[tensorboard]'")
def test_real_event_files_keep_each_run_once(document: dict[str, Any], tmp_path: Path) -> None:
    for _ in range(2):
        TensorboardFolder(tmp_path).put(tracked(document, tmp_path))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    [folder] = (tmp_path / "tensorboard").iterdir()
    events = EventAccumulator(str(folder))
    events.Reload()
    found = events.Tensors("accuracy")
    assert [event.step for event in found] == [1, 2]
    assert [event.tensor_proto.float_val[0] for event in found] == pytest.approx([0.6, 0.7])


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="needs wandb: 'hushtune[wandb]'")
def test_real_offline_files_keep_each_run_once(document: dict[str, Any], tmp_path: Path) -> None:
    for _ in range(2):
        WandbFolder(tmp_path).put(tracked(document, tmp_path))
    [folder] = (tmp_path / "wandb").glob("offline-run-*")
    assert folder.name.endswith(document["run_id"])
    [kept] = folder.glob("*.wandb")
    content = kept.read_bytes()
    assert b"final/accuracy/value" in content
    assert b"training.rounds" in content
