"""Runs beside each other in an experiment tracker on this machine, from their reports alone; nothing is sent anywhere."""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from server.tracking.mlflow import MlflowStore
from server.tracking.tensorboard import TensorboardFolder
from server.tracking.tracked import Tracked, tracked
from server.tracking.wandb import WandbFolder
from shared.config.run import RunConfig
from shared.errors import ConfigError


class Tracker(Protocol):
    """A place that keeps runs; a run that it has is not put there again."""

    def put(self, run: Tracked) -> None:
        """Keep a finished run."""


TRACKERS: Mapping[Literal["mlflow", "tensorboard", "wandb"], Callable[[Path], Tracker]] = {
    "mlflow": MlflowStore,
    "tensorboard": TensorboardFolder,
    "wandb": WandbFolder,
}


def track(document: Mapping[str, Any], folder: Path, config: RunConfig) -> None:
    """Put a finished run into the tracker that its config names, beside the runs' folders; without one, do nothing.

    Raises:
        ConfigError: the tracker is not installed.
    """
    chosen = config.report.tracking
    if chosen == "auto":
        chosen = "mlflow" if _is_installed("mlflow") else "none"
    if chosen == "none":
        return
    if not _is_installed(chosen):
        raise ConfigError(f"report.tracking = '{chosen}': not installed, though the report is written; pip install {chosen}")
    tracker: Tracker = TRACKERS[chosen](config.run.output)
    tracker.put(tracked(document, folder))


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
