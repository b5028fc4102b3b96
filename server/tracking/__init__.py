"""Record finished runs in a local experiment tracker (MLflow, TensorBoard or W&B offline), so that runs can be compared.

Only numbers and settings from a run's report are recorded, and nothing is sent over the network.
"""

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
    """A store of runs; storing a run a second time has no effect."""

    def put(self, run: Tracked) -> None:
        """Store a finished run."""


TRACKERS: Mapping[Literal["mlflow", "tensorboard", "wandb"], Callable[[Path], Tracker]] = {
    "mlflow": MlflowStore,
    "tensorboard": TensorboardFolder,
    "wandb": WandbFolder,
}


def track(document: Mapping[str, Any], folder: Path, config: RunConfig) -> None:
    """Store a finished run in the tracker that its config names; do nothing if it names none.

    Parameters
    ----------
    document
        The run's report, as in report.json.
    folder
        The run's folder, which the tracker's entry names.
    config
        The run's config. ``report.tracking`` chooses the tracker; its store is created in ``run.output``.

    Raises
    ------
    ConfigError
        The tracker is not installed.
    """
    chosen = config.report.tracking
    if chosen == "auto":
        chosen = "none" if any(missing(TRACKING["mlflow"])) else "mlflow"
    if chosen == "none":
        return
    require(f"report.tracking = '{chosen}'", TRACKING[chosen])
    tracker: Tracker = TRACKERS[chosen](config.run.output)
    tracker.put(tracked(document, folder))
