"""Weights & Biases in offline mode: one folder per run, uploaded only if somebody runs ``wandb sync`` on it."""

import os
from itertools import groupby
from pathlib import Path

from server.tracking.tracked import Tracked


class WandbFolder:
    """The folder ``wandb`` in the folder of all runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, run: Tracked) -> None:
        """Store a run: settings as the W&B config, numbers by round."""
        if any((self._folder / "wandb").glob(f"offline-run-*-{run.run_id}")):
            return
        os.environ.update({"WANDB_ERROR_REPORTING": "false", "DO_NOT_TRACK": "true"})  # wandb reads them at import
        import wandb

        settings = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True)
        with wandb.init(
            mode="offline",
            dir=self._folder,
            project="hushtune",
            id=run.run_id,
            name=run.name,
            config={**run.settings, "hushtune.report": str(run.report.resolve())},
            settings=settings,
        ) as kept:
            for step, points in groupby(sorted(run.points, key=lambda point: point.step), lambda point: point.step):
                kept.log({point.name: point.value for point in points}, step=step)
