"""Run the product's own private step on synthetic gradients, and record what each step releases."""

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from privacy.dp.clipping import FlatClipping
from privacy.dp.engine import PrivateStep, PrivateSum, make_private, summing
from privacy.dp.entropy import uniforms
from privacy.dp.plan import PrivacyPlan
from privacy.dp.sampling import poisson_batches

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
RESTARTS, STEPS = 2, 20  # the engine is made this many times, and takes this many steps each time
COORDINATES = 2048  # synthetic numbers in all, divided among the run's tensors
FEWEST_COORDINATES, MOST_COORDINATES = 4, 64  # synthetic numbers of one tensor
BATCH = 64  # units of a batch that get a gradient
DRAWN = 1024  # expected units of a batch
MOST_UNITS = 200_000  # synthetic units; sampling rates below DRAWN / MOST_UNITS give smaller batches
LONGEST = 1 << 19  # numbers of the one long release, which crosses the borders of the mechanism's chunks
SEED = 0  # seeds every seedable generator at each restart, so noise from such a generator repeats
HUGE = 1e6  # norm of a gradient that must be clipped, in C; in a step with noise LARGE is used instead
LARGE = 100.0


@dataclass(frozen=True)
class Trace:
    """What the steps of the engine released; sums and noise are in units of the step's clipping norm.

    Attributes
    ----------
    included : array (T, n) bool
        Which synthetic unit was drawn for which step.
    sums : array (T, m)
        The clipped sums before noise.
    noise : array (T, m)
        What was released, minus that sum.
    whole : array (T, m)
        The released numbers in steps of the grid, at places where the clipped sum is 0; 0 at all others.
    fractions
        The largest distance of a released number from a multiple of the grid, in steps of the grid.
    shares : array (k,)
        L2 norms by which single units moved a sum.
    long : array (RESTARTS, d)
        The noise of releases without any record, of as many numbers as the run trains (at most 2^19).
    sizes
        Numbers of each tensor; they add up to m.
    """

    included: Flags
    sums: Floats
    noise: Floats
    whole: npt.NDArray[np.int64]
    fractions: float
    shares: Floats
    long: Floats
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Rig:
    """Synthetic tensors, one for each tensor of a run, whose per-record gradients are given.

    Each tensor is the weight of a linear layer, since the engine takes those without hooks.
    """

    plan: PrivacyPlan
    sizes: tuple[int, ...]
    dtype: torch.dtype = torch.float64  # finer than in training, so that the released low bits can be read
    device: str = "cpu"
    model: nn.ModuleList = field(init=False, repr=False)

    def __post_init__(self) -> None:
        layers = [nn.Linear(size, 1, bias=False, dtype=self.dtype, device=self.device) for size in self.sizes]
        object.__setattr__(self, "model", nn.ModuleList(layers))
        self._reset()

    @classmethod
    def of(cls, plan: PrivacyPlan, sizes: Sequence[int], device: str = "cpu") -> "Rig":
        """Return a rig with a few numbers of every tensor of a run."""
        each = min(max(COORDINATES // len(sizes), FEWEST_COORDINATES), MOST_COORDINATES)
        return cls(plan, tuple(min(size, each) for size in sizes), device=device)

    @contextmanager
    def step(self) -> Iterator[PrivateStep]:
        """Yield a new step object of the engine that the plan asks for."""
        if self.plan.shared is not None:
            with summing(self.model, self.plan) as (_, summed):
                yield summed
            return
        optimizer = torch.optim.SGD(self.model.parameters(), lr=1.0)
        with make_private(self.model, optimizer, self.plan, self.plan.expected_batch) as (_, step):
            assert isinstance(step, PrivateStep)  # noqa: S101  a plan gives a private step
            yield step

    def accumulate(self, step: PrivateStep, rows: torch.Tensor, owners: Sequence[int]) -> None:
        """Give each unit its gradient, (B, m), and add the clipped gradients to the step's sum."""
        if not len(rows):
            return
        parts = torch.split(rows.to(self.device, self.dtype), list(self.sizes), dim=1)
        for parameter, part in zip(self.model.parameters(), parts, strict=True):
            parameter.grad_sample = part.reshape(len(rows), *parameter.shape)  # type: ignore[attr-defined]
        step.accumulate(owners)

    def end(self, step: PrivateStep) -> tuple[Floats, Floats]:
        """End a step and return the clipped sum and the release, each (m,); a secure sum has no release here."""
        if isinstance(step, PrivateSum):
            summed = step.total().double().cpu().numpy()
            return summed, summed
        summed = _summed(step.optimizer, sum(self.sizes))
        step.finish()
        released = -self._values() * self.plan.expected_batch
        self._reset()
        return summed, released

    def moved(self, step: PrivateStep, rows: torch.Tensor, owners: Sequence[int]) -> Floats:
        """Return the clipped sum of a batch, in units of the clipping norm of that step."""
        bound, count = step.optimizer.max_grad_norm, sum(self.sizes)
        self.accumulate(step, rows, owners)
        sums: Floats = _summed(step.optimizer, count) / bound
        for parameter in self.model.parameters():
            parameter.summed_grad = None  # type: ignore[attr-defined]  # a sum that clipping does not bound may overflow
        self.end(step)
        return sums

    def _values(self) -> Floats:
        values: Floats = torch.cat([p.detach().double().flatten() for p in self.model.parameters()]).cpu().numpy()
        return values

    def _reset(self) -> None:
        for parameter in self.model.parameters():
            parameter.data.zero_()


def _summed(optimizer: FlatClipping, count: int) -> Floats:
    """Return the step's clipped sum so far; zeros if no record was added."""
    if any(getattr(parameter, "summed_grad", None) is None for parameter in optimizer.params):
        return np.zeros(count)
    found: Floats = optimizer.summed().double().cpu().numpy()
    return found


def trace(plan: PrivacyPlan, sizes: Sequence[int], device: str = "cpu") -> Trace:
    """Run the engine of a plan on synthetic units.

    Parameters
    ----------
    plan
        The plan, with the sampling rate, noise and bound that are claimed.
    sizes
        Numbers in each tensor that the run trains.
    device
        Where the run trains; a GPU draws its own noise.
    """
    rig, units = Rig.of(plan, sizes, device), units_of(plan)
    rows = [row for _ in range(RESTARTS) for row in _restarted(rig, units)]
    included, sums, noise, whole, fractions = zip(*rows, strict=True)
    long = np.stack([_long_release(plan, sum(sizes), device) for _ in range(RESTARTS)])
    return Trace(
        included=np.stack(included),
        sums=np.stack(sums),
        noise=np.stack(noise),
        whole=np.stack(whole),
        fractions=max(fractions),
        shares=unit_shares(plan, rig.sizes, device),
        long=long,
        sizes=rig.sizes,
    )


def units_of(plan: PrivacyPlan) -> int:
    """Return the number of synthetic units."""
    return min(MOST_UNITS, round(DRAWN / plan.sampling_rate))


def _restarted(rig: Rig, units: int) -> Iterator[tuple[Flags, Floats, Floats, npt.NDArray[np.int64], float]]:
    """Make the engine anew, take its steps, and yield the release of each."""
    plan, directions = rig.plan, sum(rig.sizes)
    with public_seeds(), rig.step() as step:
        for drawn in poisson_batches(units, plan.sampling_rate, STEPS, uniforms):
            mechanism, bound = step.optimizer.mechanism, step.optimizer.max_grad_norm
            given = torch.from_numpy(drawn[:BATCH])
            rows = torch.zeros((len(given), directions), dtype=rig.dtype)
            norms = bound * torch.where(given % 2 == 0, LARGE, 0.5).to(rig.dtype)
            rows[torch.arange(len(given)), given % max(1, directions // 2)] = norms  # the other half is noise alone
            rig.accumulate(step, rows, given.tolist())
            summed, released = rig.end(step)
            steps = released / mechanism.grid
            fraction = float(np.abs(steps - np.rint(steps)).max(initial=0.0))
            whole = np.where(summed == 0, np.rint(steps), 0).astype(np.int64)
            yield np.isin(np.arange(units), drawn), summed / bound, (released - summed) / bound, whole, fraction


def _long_release(plan: PrivacyPlan, numbers: int, device: str) -> Floats:
    """Return the noise of one step without records over many numbers, in units of the clipping norm."""
    rig = Rig(plan, (min(numbers, LONGEST),), device=device)
    with public_seeds(), rig.step() as step:
        bound = step.optimizer.max_grad_norm
        released: Floats = rig.end(step)[1] / bound
        return released


def unit_shares(plan: PrivacyPlan, sizes: tuple[int, ...], device: str = "cpu") -> Floats:
    """Return by how much single units move a clipped sum, in units of C, in the dtype of training.

    The units have gradients of every size, in all tensors or in one number; one has three rows, and some have numbers that
    are not finite. Each is measured alone and beside others.
    """
    rig, count = Rig(plan, sizes, torch.float32, device), sum(sizes)
    huge = HUGE * plan.clipping_norm
    everywhere, one = torch.full((1, count), huge / math.sqrt(count)), torch.zeros((1, count))
    last = one.clone()
    one[0, 0] = last[0, -1] = huge
    broken = one.clone()
    broken[0, -1] = torch.nan
    kinds = [everywhere, one, last, one / (2 * HUGE), broken, one * torch.inf, torch.cat([everywhere, everywhere, one])]
    with rig.step() as step:
        alone = [rig.moved(step, rows, [0] * len(rows)) for rows in kinds]
        crowd = torch.cat(kinds[:4])
        ends = [rig.moved(step, crowd[:many], list(range(many))) for many in range(len(crowd) + 1)]
    moves = [*alone, *(after - before for before, after in pairwise(ends))]
    return np.array([float(np.linalg.norm(move)) for move in moves])


@contextmanager
def public_seeds() -> Iterator[None]:
    """Seed every seedable generator with the same number inside the block, and restore their states afterwards."""
    kept = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        np.random.seed(SEED)
        random.seed(SEED)
        try:
            yield
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])
