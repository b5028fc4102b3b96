"""The server's own step: it is torch's AdamW over rounds, and SGD with momentum, from what a checkpoint keeps."""

from pathlib import Path

import numpy as np
import torch
from fixture_types import ConfigOf

from server.aggregation.gradient_step import gradient_step
from server.checkpoint import Checkpoint
from shared.adapters.state import AdapterState
from shared.schedule import schedule

SHARED = {
    "data.sites": [{"id": name, "file": "x.jsonl", "declared_size": 100} for name in ("a", "b", "c")],
    "privacy.trust": "distributed",
    "training.rounds": 6,
    "training.steps": 1,
    "training.weight_decay": 0.1,
    "aggregation.weights": "declared",
    "aggregation.optimiser": "adamw",
}


def state(seed: int) -> AdapterState:
    draw = np.random.default_rng(seed)
    return AdapterState(
        {name: draw.standard_normal(shape).astype(np.float32) for name, shape in (("b", (3, 2)), ("head.w", (4,)))}
    )


def test_adamw_over_rounds_is_torchs_also_after_a_restart_between_two_rounds(config_of: ConfigOf, tmp_path: Path) -> None:
    config, adapter, memory = config_of(SHARED), state(0), {}
    tensors = {name: torch.nn.Parameter(torch.from_numpy(array.copy())) for name, array in adapter.arrays.items()}
    peaks = (config.training.learning_rate, config.training.head_learning_rate)
    optimizer = torch.optim.AdamW(
        [{"params": [p], "lr": rate} for p, rate in zip(tensors.values(), peaks, strict=True)], weight_decay=0.1
    )
    for number in range(1, 5):
        gradient = state(number)
        step = gradient_step(config, number, adapter, gradient, memory)
        adapter = adapter.add(step.change)
        Checkpoint("run", number, "digest", adapter, memory=step.memory).save(tmp_path)
        found = Checkpoint.load(tmp_path)
        assert found is not None
        adapter, memory = found.adapter, dict(found.memory)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * schedule(number - 1, config.training)
        for name, parameter in tensors.items():
            parameter.grad = torch.from_numpy(gradient.arrays[name].copy())
        optimizer.step()
        for name, parameter in tensors.items():
            np.testing.assert_allclose(adapter.arrays[name], parameter.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_sgd_keeps_a_velocity_and_follows_the_rates(config_of: ConfigOf) -> None:
    config = config_of({**SHARED, "aggregation.optimiser": "sgd", "aggregation.momentum": 0.5, "training.warmup": 0.0})
    first = gradient_step(config, 1, state(0), state(1), {})
    second = gradient_step(config, 2, state(0), state(2), first.memory)
    rate = config.training.head_learning_rate * schedule(1, config.training)
    wanted = -rate * (0.5 * state(1).arrays["head.w"] + state(2).arrays["head.w"])
    np.testing.assert_allclose(second.change.arrays["head.w"], wanted, rtol=1e-5)
    assert first.change.arrays["b"][0, 0] == np.float32(-config.training.learning_rate) * state(1).arrays["b"][0, 0]
