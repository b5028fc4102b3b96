"""The loss of the model on each record of a site."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from shared.tasks.base import Learner
from shared.tasks.cached_activations import FrozenPrefix, batches
from shared.tasks.examples import Example


def losses_and_hits(
    learner: Learner, examples: Sequence[Example], prefix: FrozenPrefix | None, tokens: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
    """Return the model's loss on each example, and its hits if the task has any; both stay at the site.

    Parameters
    ----------
    learner
        Task and model.
    examples
        N encoded records.
    prefix
        Cached states of the frozen layers; None computes all layers.
    tokens
        Tokens of a micro-batch.

    Returns
    -------
    tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]
        Losses (N,) in nats, and hits (N,), 0 or 1.
    """
    losses = np.zeros(len(examples))
    hits = np.zeros(len(examples)) if learner.task.outcome_type.right_or_wrong else None
    learner.model.eval()
    with torch.no_grad():
        for chosen, batch in batches(learner, examples, prefix, tokens):
            losses[chosen] = learner.task.losses(learner.model, batch).double().cpu().numpy()
            if hits is not None:
                hits[chosen] = 1 - learner.task.outcome(learner.model, batch).damage()
    return losses, hits
