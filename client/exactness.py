"""The check before training: per-record gradients of the site's own records, compared with a loop over single records."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import torch
from torch import nn

from privacy.dp.rounding import PER_ROOT, base_dtype
from privacy.dp.selfcheck import LossOf, refuse_inexact, refuse_inexact_as_trained, refuse_rounding
from shared.errors import PrivacyError
from shared.tasks.base import Learner
from shared.tasks.examples import Example


def self_check(learner: Learner, examples: Sequence[Example], records: int, distillation: float = 0.0) -> Learner:
    """Compare per-record gradients with a one-record loop, on the longest and the shortest examples.

    The batch is computed as in training, packed end to end if the model can do that; single records are computed by the
    unmodified model. The first comparison is in float32. If the model trains in 16 bits, a second comparison uses the
    kernels of training. Then, in the dtype of training, the batch is compared with the batch without its longest record, to
    check that the plan covers rounding.

    Parameters
    ----------
    learner
        Task and model.
    examples
        Encoded records.
    records
        Number of records to compare.
    distillation
        Weight of the distillation term of the loss.

    Returns
    -------
    Learner
        The learner to train with: the same, or one that computes padded batches, if only these are exact on this device.

    Raises
    ------
    PrivacyError
        The gradients differ, so nothing may be trained.
    """
    chosen = longest_and_shortest(examples, records)
    try:
        _refuse_differences(learner, chosen, distillation)
    except PrivacyError:
        if not learner.packs:
            raise
    else:
        return learner
    padded = replace(learner, may_pack=False)
    _refuse_differences(padded, chosen, distillation)
    return padded


def longest_and_shortest(examples: Sequence[Example], records: int) -> list[Example]:
    """Return up to ``records`` examples to check on, half of them the longest and half of them the shortest."""
    chosen = sorted(examples, key=len, reverse=True)
    return chosen if len(chosen) <= records else chosen[: (records + 1) // 2] + chosen[len(chosen) - records // 2 :]


def _refuse_differences(learner: Learner, chosen: Sequence[Example], distillation: float) -> None:
    dtype = base_dtype(learner.model)
    with loss_of(learner, chosen, distillation) as losses:
        refuse_inexact(learner.model, losses, len(chosen))
        if dtype != "float32":
            refuse_inexact_as_trained(learner.model, losses, len(chosen))
        refuse_rounding(learner.model, losses, len(chosen), PER_ROOT[dtype])


@contextmanager
def loss_of(learner: Learner, chosen: Sequence[Example], distillation: float) -> Iterator[LossOf]:
    """Yield a function that returns the losses of some examples: several computed as in training, one without packing."""
    with ExitStack() as given:

        def losses(model: nn.Module, indices: list[int]) -> torch.Tensor:
            given.close()  # the backward pass of the batch before is done
            asked = [chosen[index] for index in indices]
            batch = given.enter_context(learner.batch(asked)) if len(asked) > 1 else learner.padded(asked)
            return learner.task.training_losses(model, batch, distillation)

        yield losses
