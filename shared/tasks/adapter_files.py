"""Write and load the adapter folder that a run publishes: PEFT's files, a head if there is one, and the run's config."""

from collections.abc import Sequence
from pathlib import Path

from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.config.toml import apply_override
from shared.errors import ConfigError, ModelError
from shared.tasks import load_learner
from shared.tasks.base import Learner

CONFIG_FILE = "run.json"


def save_adapter(learner: Learner, config: RunConfig, state: AdapterState, folder: Path) -> dict[str, str | int]:
    """Write the adapter folder from the learner's model, and return what is in it; an adversary's head is left out.

    Parameters
    ----------
    learner
        The task and its model, with the adapter to save.
    config
        The run's config.
    state
        The same adapter as arrays, for its digest.
    folder
        The adapter folder; created if missing.

    Returns
    -------
    dict
        Name of the folder, digest, number of trained parameters, and size in bytes.
    """
    folder.mkdir(exist_ok=True)
    learner.task.save(learner.model, folder)
    (folder / CONFIG_FILE).write_text(config.canonical(), encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.iterdir())
    return {"path": folder.name, "digest": state.digest(), "trainable_parameters": state.parameters, "bytes": size}


def load_adapter(folder: Path, exact: bool = False, overrides: Sequence[str] = ()) -> tuple[RunConfig, Learner]:
    """Rebuild the tuned model of an adapter folder; its base model is the one that the run's config names.

    Parameters
    ----------
    folder
        The adapter folder of a finished run.
    exact
        Load the base model in float32.
    overrides
        Changes of the run's config as ``section.key=value``; one that does not fit the adapter is refused.

    Raises
    ------
    ConfigError
        An override cannot be used.
    ModelError
        The folder is not an adapter of a finished run.
    """
    config, path = read_config(folder), folder / CONFIG_FILE
    trained = config.run
    tree = config.model_dump(mode="json")
    for override in overrides:
        apply_override(tree, override, path)
    if overrides:
        config = _same_adapter(config, RunConfig.parse(tree, str(path)))
    config = config.model_copy(update={"adversary": None})  # used in training only
    if exact:
        config = config.model_copy(update={"model": config.model.model_copy(update={"dtype": "float32"})})
    learner = load_learner(config.model_copy(update={"run": trained}))  # frozen tensors follow from the seed of training
    learner.task.restore(learner.model, folder)
    return config, learner


def read_config(folder: Path) -> RunConfig:
    """Read the config of the run that an adapter folder comes from.

    Raises
    ------
    ModelError
        The folder is not an adapter of a finished run.
    """
    path = folder / CONFIG_FILE
    try:
        return RunConfig.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: no readable run config; give the adapter folder of a finished run") from error


def _same_adapter(trained: RunConfig, changed: RunConfig) -> RunConfig:
    """Return the changed config; refuse it if the adapter was trained with other settings of its own or of its task."""
    for section in ("adapter", "task"):
        if getattr(trained, section) != getattr(changed, section):
            raise ConfigError(f"--set {section}: the adapter was trained with other values; leave this section as it is")
    return changed
