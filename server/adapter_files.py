"""The adapter that a run publishes: PEFT's files, a head if there is one, and the run's config."""

from pathlib import Path

from shared.adapter import AdapterState
from shared.config import RunConfig
from shared.tasks.base import Learner

CONFIG_FILE = "run.json"


def save_adapter(learner: Learner, config: RunConfig, state: AdapterState, folder: Path) -> dict[str, str | int]:
    """Write the adapter folder from the learner's model, and say what is in it."""
    folder.mkdir(exist_ok=True)
    learner.task.save(learner.model, folder)
    (folder / CONFIG_FILE).write_text(config.canonical(), encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.iterdir())
    return {"path": folder.name, "digest": state.digest(), "trainable_parameters": state.parameters, "bytes": size}
