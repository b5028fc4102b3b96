"""Run a round of training on given batches, and read each step's clipped sum before noise is added."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from client import trainer
from client.data_stage.balance import label_weights
from client.units import Rows, TrainingSet, row_weights
from privacy.dp.clipping import FlatClipping
from privacy.dp.plan import PrivacyPlan
from privacy.secagg.shared_plan import SharedNoise
from shared.adapters.peft import read_adapter
from shared.config.run import RunConfig
from shared.tasks.base import Learner
from shared.tasks.cached_activations import FrozenPrefix
from shared.tasks.micro_batches import Unit

NOISE = 1e-2  # noise multiplier; so small that an adaptive C depends on the records and not on the noise


@dataclass
class Script:
    """The units of each step of a round, and whether only the first unit's losses count in that step."""

    steps: Sequence[tuple[list[int], bool]]
    now: int = -1

    def batches(self, *given: object) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
        """Yield the given batches; replaces sampling."""
        for number, (units, _) in enumerate(self.steps):
            self.now = number
            yield np.array(units, dtype=np.int64)

    def next_batch(self, *given: object) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
        """Yield only the next of the given batches; replaces the sampling of a round of one step."""
        self.now += 1
        yield np.array(self.steps[self.now][0], dtype=np.int64)

    def weights(self, units: Sequence[Unit], *given: Any) -> torch.Tensor:
        """Return training's row weights; where only the first unit's losses count, those of other units are 0."""
        found = row_weights(units, *given)
        if not self.steps[self.now][1]:
            return found
        return found * torch.tensor([float(unit[0] == 0) for unit in units for _ in unit], device=found.device)


class OneOccasion(TrainingSet):
    """A training set whose views are the same in every step."""

    def rows(self, chosen: Sequence[int], occasion: int) -> Rows:
        """Return the rows of a step, always with the views of the first step."""
        return super().rows(chosen, 0)


def columns_dropped(x: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """Apply dropout with the same mask at every position, so that adding a unit to the batch does not change the others."""
    if not training or not p:
        return x
    kept = torch.arange(x.shape[-1], device=x.device) % 10 >= 10 * p
    return x * kept.to(x.dtype) / (1 - p)


@contextmanager
def watched() -> Iterator[list[torch.Tensor]]:
    """Yield a list that collects each step's clipped sum before noise, (parameters,) float64, in units of C."""
    sums: list[torch.Tensor] = []
    original = FlatClipping.summed

    def summed(self: FlatClipping) -> torch.Tensor:
        whole = original(self)
        sums.append(whole.double() / self.max_grad_norm)
        return whole

    with patch.object(FlatClipping, "summed", summed):
        yield sums


def sums_of(
    config: RunConfig, learner: Learner, data: TrainingSet, script: Script, clipping_norm: float
) -> list[torch.Tensor]:
    """Run a round of ``train`` with the scripted batches and return the clipped sum of each step."""
    units, clipping = len(data.units), config.privacy.clipping
    shared = config.privacy.trust == "distributed"
    plan = PrivacyPlan(1.0, NOISE, clipping_norm, len(script.steps), 1, 1e-4, units, clipping=clipping)
    if shared:  # enough slack for every dtype: only the sums are of interest here
        noise = SharedNoise(3, 3, 1, 3.0 * units, 1.0)
        plan = replace(plan, steps_per_round=1, trust="distributed", shared=noise)
    visits = 0 if data.viewer else len(script.steps)
    prefix = FrozenPrefix.build(learner, data.examples, visits, learner.tokens(config.training))
    with (
        watched() as sums,
        patch.object(trainer, "_batches", script.next_batch if shared else script.batches),
        patch.object(trainer, "row_weights", script.weights),
        patch.object(torch.nn.functional, "dropout", columns_dropped),
    ):
        start, weights = read_adapter(learner.model), label_weights(data, config, private=True)
        if shared:
            for _ in script.steps:
                trainer.clipped_sum(learner, data, start, config, plan, 1, weights, prefix)
        else:
            trainer.train(
                learner,
                data,
                start,
                config,
                plan,
                round_number=1,
                divisor=plan.expected_batch,
                site_id="north",
                moments=None,
                label_weights=weights,
                prefix=prefix,
            )
    return sums
