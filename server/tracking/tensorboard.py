"""TensorBoard: one folder of event files per run."""

from pathlib import Path

from server.tracking.tracked import Tracked


class TensorboardFolder:
    """The folder ``tensorboard`` in the folder of all runs; view it with ``tensorboard --logdir runs/tensorboard``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "tensorboard"

    def put(self, run: Tracked) -> None:
        """Store a run's numbers as scalars by round."""
        from tensorboard.summary import Writer

        folder = self._folder / f"{run.name}-{run.run_id}"
        if folder.exists():
            return
        writer = Writer(str(folder))
        for point in run.points:
            writer.add_scalar(point.name, point.value, point.step)
        writer.close()
