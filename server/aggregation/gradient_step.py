"""The server's own step on a mean gradient, where all sites of a secure sum take one step together.

The gradient has its noise when the server sees it, so an optimiser is post-processing and costs no epsilon.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from server.aggregation.method import Aggregate, Memory
from shared.adapters.state import AdapterState
from shared.config.aggregation import OptimiserName
from shared.config.run import RunConfig
from shared.schedule import schedule
from shared.tasks.head import HEADS

# Mean square of one number of a useful mean gradient, as a share of C^2. Chosen for a head on frozen embeddings of generated
# messages (3 and 10 sites, epsilon 1, 3 and 8, 8 to 40 steps), where half of it lost up to 4 points and twice of it up to 2.
SIGNAL = 2e-4
FIRST, SECOND = "adamw_first", "adamw_second"  # the moments of AdamW, in the checkpoint


def gradient_step(
    config: RunConfig, number: int, adapter: AdapterState, gradient: AdapterState, noise: float, memory: Memory
) -> Aggregate:
    """Take one step of the run's optimiser and return the change of the adapter.

    Parameters
    ----------
    config
        The run, with the optimiser, the learning rates and their schedule.
    number
        Number of the round, from 1; each committed round is one step.
    adapter
        The adapter before the step.
    gradient
        The noised mean gradient, with the adapter's spec.
    noise
        Standard deviation of the noise on each of its numbers; public.
    memory
        What the optimiser kept in the round before.
    """
    return STEPS[config.aggregation.optimiser](config, number, adapter, gradient, noise, memory)


def adamw(
    config: RunConfig, number: int, adapter: AdapterState, gradient: AdapterState, noise: float, memory: Memory
) -> Aggregate:
    """Take a step of AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), with the class that sites use for local steps.

    AdamW divides the mean gradient by its own size in each coordinate. If the gradient is mostly noise, a step is the signal
    divided by the noise, and the best rate grows with the noise. So the rates are in units of `scale`, which is public.
    """
    training, factor = config.training, schedule(number - 1, config.training)
    tensors = {name: nn.Parameter(torch.from_numpy(array.copy())) for name, array in adapter.arrays.items()}
    factor *= scale(config.privacy.clipping_norm, adapter.parameters, noise)
    groups = [
        ([p for name, p in tensors.items() if name.startswith(HEADS) == heads], _rate(config, heads))
        for heads in (False, True)
    ]
    optimizer = torch.optim.AdamW(
        [{"params": params, "lr": rate * factor} for params, rate in groups if params],
        weight_decay=training.weight_decay,
        fused=True,
    )
    for name, parameter in tensors.items():
        parameter.grad = torch.from_numpy(gradient.arrays[name].copy())
        if FIRST in memory:
            first, second = (torch.from_numpy(memory[kept].arrays[name].copy()) for kept in (FIRST, SECOND))
            optimizer.state[parameter] = {"step": torch.tensor(number - 1.0), "exp_avg": first, "exp_avg_sq": second}
    optimizer.step()
    after = AdapterState({name: parameter.detach().numpy() for name, parameter in tensors.items()})
    kept = {
        label: AdapterState({name: optimizer.state[p][key].numpy() for name, p in tensors.items()})
        for label, key in ((FIRST, "exp_avg"), (SECOND, "exp_avg_sq"))
    }
    return Aggregate(after.minus(adapter), kept)


def scale(bound: float, parameters: int, noise: float) -> float:
    """Return the unit of AdamW's learning rate: the noise of a number, as a share of the clipping norm C.

    Without noise, a mean gradient of length C has numbers of C / sqrt(d), which is the smallest scale.

    Parameters
    ----------
    bound
        Clipping norm C.
    parameters
        Trained numbers, d.
    noise
        Standard deviation of the noise on each number of the mean gradient.
    """
    return math.hypot(noise / bound, parameters**-0.5)


def sgd(
    config: RunConfig, number: int, adapter: AdapterState, gradient: AdapterState, noise: float, memory: Memory
) -> Aggregate:
    """Take a step of SGD with momentum: v = momentum v + gradient, and the change is - damping x rate / C x v.

    No gradient of a record is longer than the clipping norm C, so in units of 1 / C a rate does not depend on C.
    """
    bound, peak = config.privacy.clipping_norm, max(_rate(config, head) for head in (False, True))
    factor = schedule(number - 1, config.training) / bound * damping(peak, noise / bound)
    share, before = config.aggregation.momentum, memory.get("velocity")
    velocity = gradient
    if before is not None:
        velocity = AdapterState({name: np.float32(share) * array for name, array in before.arrays.items()}).add(gradient)
    rates = {name: np.float32(-factor * _rate(config, name.startswith(HEADS))) for name in adapter.arrays}
    return Aggregate(
        AdapterState({name: rates[name] * array for name, array in velocity.arrays.items()}), {"velocity": velocity}
    )


def damping(rate: float, noise: float) -> float:
    """Return the factor of SGD's rates that fits a noise: 1 / (1 + rate x noise^2 / `SIGNAL`).

    Over a run the noise moves each number by about rate x noise x sqrt(steps), and the signal by rate x signal x steps. The
    more of a gradient is noise, the smaller are the weights that still gain from it, so the rate falls with the power of
    the noise. `python -m bench.study bench/rates.toml` compares one rate over epsilons and numbers of sites.

    Parameters
    ----------
    rate
        The larger of the rates of adapter and head without noise, in units of 1 / C.
    noise
        Standard deviation of the noise on each number of the mean gradient, as a share of C.
    """
    return 1 / (1 + rate * noise**2 / SIGNAL)


def _rate(config: RunConfig, head: bool) -> float:
    return config.training.head_learning_rate if head else config.training.learning_rate


Step = Callable[[RunConfig, int, AdapterState, AdapterState, float, Memory], Aggregate]
STEPS: Mapping[OptimiserName, Step] = {"adamw": adamw, "sgd": sgd}
