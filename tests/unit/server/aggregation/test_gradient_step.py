"""The server's own step: it is torch's AdamW over rounds, and SGD with momentum, from what a checkpoint keeps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fixture_types import ConfigOf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.aggregation.gradient_step import SIGNAL, damping, gradient_step, scale
from server.checkpoint import Checkpoint
from shared.adapters.state import AdapterState
from shared.schedule import schedule

NOISE = 0.03
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
        step = gradient_step(config, number, adapter, gradient, NOISE, memory)
        adapter = adapter.add(step.change)
        Checkpoint("run", number, "digest", adapter, memory=step.memory).save(tmp_path)
        found = Checkpoint.load(tmp_path)
        assert found is not None
        adapter, memory = found.adapter, dict(found.memory)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * schedule(number - 1, config.training) * scale(0.5, 10, NOISE)
        for name, parameter in tensors.items():
            parameter.grad = torch.from_numpy(gradient.arrays[name].copy())
        optimizer.step()
        for name, parameter in tensors.items():
            np.testing.assert_allclose(adapter.arrays[name], parameter.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_sgd_keeps_a_velocity_and_follows_the_rates(config_of: ConfigOf) -> None:
    config = config_of({**SHARED, "aggregation.optimiser": "sgd", "aggregation.momentum": 0.5, "training.warmup": 0.0})
    first = gradient_step(config, 1, state(0), state(1), 0.0, {})
    second = gradient_step(config, 2, state(0), state(2), 0.0, first.memory)
    rate = config.training.head_learning_rate * schedule(1, config.training) / config.privacy.clipping_norm
    wanted = -rate * (0.5 * state(1).arrays["head.w"] + state(2).arrays["head.w"])
    np.testing.assert_allclose(second.change.arrays["head.w"], wanted, rtol=1e-5)
    assert first.change.arrays["b"][0, 0] == np.float32(-config.training.learning_rate / 0.5) * state(1).arrays["b"][0, 0]


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@given(factor=st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_step_does_not_depend_on_the_unit_of_the_gradient(config_of: ConfigOf, optimiser: str, factor: float) -> None:
    """The clipping norm, the noise and every gradient may be in any unit: the same rate makes the same step."""
    changes = {**SHARED, "aggregation.optimiser": optimiser, "training.weight_decay": 0.0}
    one = config_of({**changes, "privacy.clipping_norm": 1.0})
    other = config_of({**changes, "privacy.clipping_norm": factor})
    scaled = AdapterState({name: np.float32(factor) * array for name, array in state(1).arrays.items()})
    wanted = gradient_step(one, 1, state(0), state(1), NOISE, {}).change
    found = gradient_step(other, 1, state(0), scaled, factor * NOISE, {}).change
    for name, array in wanted.arrays.items():
        np.testing.assert_allclose(found.arrays[name], array, rtol=1e-3, atol=1e-6)


@given(rate=st.floats(0.01, 100), noise=st.floats(0, 10), more=st.floats(1.01, 10))
def test_the_damped_rate_of_sgd_falls_with_the_power_of_the_noise_and_rises_with_the_rate(
    rate: float, noise: float, more: float
) -> None:
    assert damping(rate, 0.0) == 1
    assert rate * damping(rate, noise) <= min(rate, SIGNAL / max(noise, 1e-9) ** 2) * (1 + 1e-9)
    assert rate * damping(rate, noise * more) <= rate * damping(rate, noise) <= rate * more * damping(rate * more, noise)


def test_noise_damps_the_rates_of_adapter_and_head_by_the_same_factor(config_of: ConfigOf) -> None:
    config = config_of({**SHARED, "aggregation.optimiser": "sgd", "training.warmup": 0.0})
    quiet, noisy = (gradient_step(config, 1, state(0), state(1), noise, {}).change for noise in (0.0, NOISE))
    share = 1 / (1 + config.training.head_learning_rate * (NOISE / config.privacy.clipping_norm) ** 2 / SIGNAL)
    assert share < 0.1
    for name in ("b", "head.w"):
        np.testing.assert_allclose(noisy.arrays[name], np.float32(share) * quiet.arrays[name], rtol=1e-5)


def test_the_scale_of_adamw_is_the_noise_but_at_least_that_of_a_gradient_of_length_c() -> None:
    assert scale(0.5, 10_000, 0.5) == pytest.approx(1.0, rel=1e-3)
    assert scale(0.5, 10_000, 0.0) == pytest.approx(0.01)
