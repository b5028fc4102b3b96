"""The tasks that a run may name."""

from collections.abc import Mapping

from shared.config.run import RunConfig
from shared.models.load import LoadedModel, load, quiet
from shared.tasks.base import Learner, Task
from shared.tasks.classification import Classification
from shared.tasks.instruction import Instruction

TASKS: Mapping[str, type[Classification] | type[Instruction]] = {
    "classification": Classification,
    "instruction": Instruction,
}


def load_task(config: RunConfig) -> tuple[LoadedModel, Task]:
    """The base model that a run needs, in memory, and its task."""
    base = load(config.model, TASKS[config.task.name].kind)
    if config.training.checkpointing:
        with quiet():  # transformers 6 will call it by another name
            base.network.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[no-untyped-call]
            # An input that wants a gradient is what the reentrant kind alone needs.
            base.network.disable_input_require_grads()  # type: ignore[no-untyped-call]
    return base, TASKS[config.task.name](config, base)


def load_learner(config: RunConfig) -> Learner:
    """Return a run's base model with its task and a fresh adapter, the same for the same seed."""
    base, task = load_task(config)
    return Learner(base, task, task.build(base, config.run.seed))
