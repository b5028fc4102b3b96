"""Compute the learning rate over the steps of a run: the same at a site that takes the steps and at a server that does."""

import math

from shared.config.training import TrainingSection


def schedule(step: int, training: TrainingSection) -> float:
    """Return the factor of the learning rate, 0 to 1, at a step of the run, from 0: linear warm-up, then the schedule."""
    total = training.rounds * training.steps
    warmup = training.warmup * total
    if step < warmup:
        return (step + 1) / (warmup + 1)
    left = max(0.0, (total - step) / (total - warmup))
    if training.schedule == "constant":
        return 1.0
    return left if training.schedule == "linear" else (1 - math.cos(math.pi * left)) / 2
