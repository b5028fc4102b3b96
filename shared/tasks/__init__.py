"""List the tasks. A new task is one line here, a module in this folder, and an entry in shared/config/task.py."""

from collections.abc import Mapping

from shared.config.run import RunConfig
from shared.config.task import TaskName
from shared.models.library import quiet
from shared.models.load import LoadedModel, load
from shared.tasks.agreement import refuse_other_results
from shared.tasks.base import Learner, Task
from shared.tasks.classification import Classification
from shared.tasks.instruction import Instruction
from shared.tasks.token_classification import TokenClassification

TASKS: Mapping[TaskName, type[Task]] = {
    "classification": Classification,
    "instruction": Instruction,
    "token_classification": TokenClassification,
}


def load_task(config: RunConfig) -> tuple[LoadedModel, Task]:
    """Load the base model of a run, and return it with the run's task.

    Raises
    ------
    ModelError
        The model cannot be found or loaded, or is of another kind than the task needs.
    """
    task = TASKS[config.task.name]
    base = load(config.model, task.kind)
    if config.training.checkpointing:
        with quiet():  # the call has another name in transformers 6
            base.network.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[no-untyped-call]
            # transformers lets the input require a gradient, which only reentrant checkpointing needs.
            base.network.disable_input_require_grads()  # type: ignore[no-untyped-call]
    return base, task(config, base)


def load_learner(config: RunConfig) -> Learner:
    """Load a run's base model with its task and a new adapter, which is the same for the same seed.

    Raises
    ------
    ModelError
        As ``load_task``; or the adapter does not fit, or the model's own library computes something else.
    """
    base, task = load_task(config)
    learner = Learner(base, task, task.build(base, config.run.seed))
    refuse_other_results(learner)
    return learner
