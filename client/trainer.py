"""Train an adapter on a site's records for one round; the loop is the same with and without privacy."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from client.optimizer import optimizer_of, pull_to_start, read_moments, refuse_large, set_rates, write_moments
from client.units import Rows, TrainingSet, row_weights
from privacy.dp.engine import PlainSum, Step, make_private, summing
from privacy.dp.entropy import uniforms
from privacy.dp.plan import PrivacyPlan
from privacy.dp.sampling import poisson_batches
from shared.adapters.peft import read_adapter, write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.config.training import TrainingSection
from shared.errors import RunError
from shared.models.library import class_only
from shared.ops import crash_points as faults
from shared.schedule import schedule
from shared.seeds import derive, stream
from shared.tasks.base import Learner
from shared.tasks.cached_activations import FrozenPrefix

FAILED = (
    "so the step was not taken and this round has no reply; if the memory was too small, set a smaller "
    "training.micro_batch_tokens, or training.checkpointing = true"
)
Engine = Callable[
    [nn.Module, torch.optim.Optimizer, PrivacyPlan | None, float], AbstractContextManager[tuple[nn.Module, Step]]
]

# Sends the rows of a step to other processes, yields the rows left for this one, and finally adds their results.
Split = Callable[[Step, Rows, npt.NDArray[np.float64] | None], AbstractContextManager[Rows]]


@contextmanager
def unsplit(step: Step, rows: Rows, label_weights: npt.NDArray[np.float64] | None) -> Iterator[Rows]:
    """Leave all rows of a step to this process."""
    yield rows


@dataclass(frozen=True)
class Trained:
    """Result of one round: the delta, and the optimiser's moments, which stay at the site."""

    delta: AdapterState
    moments: AdapterState


def train(
    learner: Learner,
    data: TrainingSet,
    start: AdapterState,
    config: RunConfig,
    plan: PrivacyPlan | None,
    *,
    round_number: int,
    divisor: float,
    site_id: str,
    moments: AdapterState | None,
    label_weights: npt.NDArray[np.float64] | None = None,
    prefix: FrozenPrefix | None = None,
    engine: Engine = make_private,
    split: Split = unsplit,
) -> Trained:
    """Train one round from an adapter and return the change.

    The optimiser's moments are computed only from noised gradients, so keeping them over rounds costs no privacy.

    Parameters
    ----------
    learner
        Task and model.
    data
        Encoded records and their units.
    start
        Adapter at the start of the round.
    config
        Configuration of the run.
    plan
        Privacy plan of the run; None without privacy.
    round_number
        Number of the round, from 1.
    divisor
        Expected number of units in a batch, q x declared_size.
    site_id
        Name of the site, for the random streams of runs without privacy.
    moments
        Optimiser state after the round before; None at the first.
    label_weights : array (L,) or None
        Weight of each label's losses.
    prefix
        Cached states of the frozen layers; None computes all layers.
    engine
        Makes the steps private; an audit passes a version that plants canaries (`privacy.audit.canaries.planted`).
    split
        Other processes of this site that compute shares of each step (`client.workers.Workers.sharing`).

    Returns
    -------
    Trained
        Delta and moments.

    Raises
    ------
    PrivacyError
        A privacy unit was split, or a layer gives no proper per-record gradients.
    RunError
        The model's library raised an error, another process of the site died, or a step left a number in the adapter that no
        order may contain.
    """
    training = config.training
    write_adapter(learner.model, start)
    optimizer = optimizer_of(learner.model, training)
    anchors = {p: p.detach().clone() for p in learner.model.parameters() if p.requires_grad}
    peaks = [float(group["lr"]) for group in optimizer.param_groups]  # read first: loading a state overwrites the rates
    if moments is not None:
        write_moments(optimizer, moments)
    torch.manual_seed(_dropout_seed(config, plan, site_id, round_number))
    learner.model.train()
    sampled = _batches(len(data.units), config, plan, site_id, round_number)
    weights = on_device(label_weights, learner)
    with engine(learner.model, optimizer, plan, divisor) as (model, step):
        for number, chosen in enumerate(sampled, start=(round_number - 1) * training.steps):
            set_rates(optimizer, peaks, schedule(number, training))
            rows = data.rows(chosen.tolist(), number)
            with split(step, rows, label_weights) as own:
                accumulate(learner, model, step, own, weights, training, prefix)
            step.finish()
            pull_to_start(optimizer, anchors, training.proximal)
            refuse_large(optimizer)
            faults.point("training", round_number)
    return Trained(read_adapter(learner.model).minus(start), read_moments(optimizer))


def clipped_sum(
    learner: Learner,
    data: TrainingSet,
    start: AdapterState,
    config: RunConfig,
    plan: PrivacyPlan,
    round_number: int,
    label_weights: npt.NDArray[np.float64] | None = None,
    prefix: FrozenPrefix | None = None,
    split: Split = unsplit,
) -> torch.Tensor:
    """Draw a batch and return the sum of its clipped gradients, without noise; each call draws another batch.

    The sum must leave the site only as a part of a secure sum (`privacy.secagg`).

    Parameters
    ----------
    learner, data, start, config, label_weights, prefix, split
        As for `train`.
    plan
        Privacy plan of a run under trust ``distributed``.
    round_number
        Number of the round, from 1.

    Returns
    -------
    torch.Tensor
        The sum, (d,) float64, in the order of the adapter's tensors.

    Raises
    ------
    PrivacyError, RunError
        As for `train`.
    """
    write_adapter(learner.model, start)
    torch.manual_seed(_dropout_seed(config, plan, "", round_number))
    learner.model.train()
    [chosen] = _batches(len(data.units), config, plan, "", round_number)
    weights = on_device(label_weights, learner)
    with summing(learner.model, plan) as (model, step):
        rows = data.rows(chosen.tolist(), round_number - 1)
        with split(step, rows, label_weights) as own:
            accumulate(learner, model, step, own, weights, config.training, prefix)
        faults.point("training", round_number)
        return step.total()


def accumulate(
    learner: Learner,
    model: nn.Module,
    step: Step | PlainSum,
    rows: Rows,
    weights: torch.Tensor | None,
    training: TrainingSection,
    prefix: FrozenPrefix | None = None,
) -> None:
    """Add the gradients of a step's rows to the step; no unit is split over two micro-batches.

    Parameters
    ----------
    learner
        Task and model.
    model
        The model as `make_private`, `summing` or `sharing` yields it.
    step : Step or sum
        The step or the sum that they yield with the model.
    rows
        Rows of the step.
    weights : tensor (L,) or None
        Weight of each label's losses.
    training
        The run's ``training`` section.
    prefix
        Cached states of the frozen layers; None computes all layers.

    Raises
    ------
    RunError
        The model's library raised an error, whose message is left out because it may quote a record.
    PrivacyError
        A privacy unit was split, or a layer gives no proper per-record gradients.
    """
    with class_only("the model failed in training", FAILED, RunError):
        for units, batch in learner.unit_batches(rows.examples, rows.units, learner.tokens(training)):
            with prefix.replayed([row for unit in units for row in unit]) if prefix else nullcontext():
                losses = learner.task.training_losses(model, batch, training.distillation)
                torch.autograd.backward((losses * row_weights(units, batch.targets, weights)).sum())
            step.accumulate([unit[0] for unit in units for _ in unit])  # a unit is identified by its first row


def on_device(label_weights: npt.NDArray[np.float64] | None, learner: Learner) -> torch.Tensor | None:
    """Return the weights of labels where the model computes, (L,)."""
    return None if label_weights is None else torch.from_numpy(label_weights).float().to(learner.base.device)


def _batches(
    units: int, config: RunConfig, plan: PrivacyPlan | None, site_id: str, round_number: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Return the batches of the round: under privacy by the plan and secret, else reproducible."""
    if plan is not None:
        return poisson_batches(units, plan.sampling_rate, plan.steps_per_round, uniforms)
    training, draw = config.training, stream(config.run.seed, "sampling", site_id, round_number).random
    return poisson_batches(units, training.sampling_rate, training.steps, draw)


def _dropout_seed(config: RunConfig, plan: PrivacyPlan | None, site_id: str, round_number: int) -> int:
    """Return a seed for dropout; under privacy a secret one, because public masks by batch position would couple records."""
    return secrets.randbits(63) if plan else derive(config.run.seed, "dropout", site_id, round_number)
