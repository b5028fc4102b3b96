"""List the tensors that a run trains, read from the model that the run would build."""

from typing import Any

from shared.config.run import RunConfig
from shared.tasks import load_task
from shared.tasks.head import HEADS


def trainable_rows(config: RunConfig) -> dict[str, Any]:
    """Return each trained tensor with its shape and learning rate, and the numbers of trained and frozen parameters.

    Raises
    ------
    ModelError
        The model is missing, or the adapter does not fit it.
    """
    base, task = load_task(config)
    model, training = task.build(base, config.run.seed), config.training
    tensors = [
        {
            "name": name.replace(".default", ""),
            "shape": list(parameter.shape),
            "parameters": parameter.numel(),
            "learning_rate": training.head_learning_rate if name.startswith(HEADS) else training.learning_rate,
        }
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    frozen = sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return {"model": base.files.name, "tensors": tensors, "trained": trained, "frozen": frozen}
