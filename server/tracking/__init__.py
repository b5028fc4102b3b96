"""Runs beside each other in an experiment tracker on this machine, from their reports alone; nothing is sent anywhere."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from server.tracking.mlflow import MlflowStore
from server.tracking.tensorboard import TensorboardFolder
from server.tracking.tracked import Tracked, tracked
from server.tracking.wandb import WandbFolder
from shared.config.run import RunConfig
from shared.ops.extras import TRACKING, missing, require


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
        chosen = "none" if any(missing(TRACKING["mlflow"])) else "mlflow"
    if chosen == "none":
        return
    require(f"report.tracking = '{chosen}'", TRACKING[chosen])
    tracker: Tracker = TRACKERS[chosen](config.run.output)
    tracker.put(tracked(document, folder))
