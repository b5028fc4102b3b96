"""Plant canaries whose gradients are known into a private training, and score them on what each step released."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from privacy.dp.clipping import FlatClipping
from privacy.dp.engine import PrivateStep, Step, make_private
from privacy.dp.entropy import uniforms
from privacy.dp.plan import PrivacyPlan
from privacy.dp.rounding import base_dtype, rounding_slack
from privacy.dp.sampling import poisson_batches
from shared.errors import PrivacyError

Floats = npt.NDArray[np.float64]
NORM = 4.0  # norm of a canary's gradient, in C; above 1, so that clipping must bound it
AT_ONCE = 16  # canaries in one micro-batch; each has a gradient as long as all trained tensors


@dataclass(frozen=True)
class Canaries:
    """Canaries, each a gradient on one trained number; a fair coin from the system's entropy decides which take part.

    Attributes
    ----------
    included : array (m,) bool
        Which canaries take part.
    places : array (m,)
        The number that each canary pushes, counted over all trained tensors.
    scores : array (m,)
        The log-likelihood ratio of each canary so far: that it takes part against that it does not, given the releases.
    """

    included: npt.NDArray[np.bool_]
    places: npt.NDArray[np.int64]
    scores: Floats = field(repr=False)

    @classmethod
    def drawn(cls, count: int, trained: int) -> "Canaries":
        """Draw canaries for a model of ``trained`` trained numbers.

        Raises
        ------
        PrivacyError
            There are more canaries than trained numbers, so two of them would share one.
        """
        if count > trained:
            raise PrivacyError(f"{count} canaries on {trained} trained numbers: each needs its own; plant fewer")
        places = np.sort(np.argsort(uniforms(trained), kind="stable")[:count])
        return cls(uniforms(count) < 0.5, places, np.zeros(count))


@dataclass(frozen=True)
class PlantedStep(PrivateStep):
    """A private step that also holds canaries; each that takes part is drawn like a record, with probability q."""

    canaries: Canaries = field(kw_only=True)
    rate: float = field(kw_only=True)

    def finish(self) -> None:
        """Add the drawn canaries to the step's sum, and take the step."""
        present = np.flatnonzero(self.canaries.included)
        [drawn] = poisson_batches(len(present), self.rate, 1, uniforms)
        for start in range(0, len(drawn), AT_ONCE):
            chosen = present[drawn[start : start + AT_ONCE]]
            self._give(torch.from_numpy(self.canaries.places[chosen]))
            self.accumulate([-1 - int(number) for number in chosen])  # the records' own units are 0 and up
        super().finish()

    def _give(self, places: torch.Tensor) -> None:
        start, rows = 0, torch.arange(len(places))
        for parameter in self.optimizer.params:
            given, inside = torch.zeros(len(places), parameter.numel()), places - start
            own = (inside >= 0) & (inside < parameter.numel())
            given[rows[own], inside[own]] = NORM * self.optimizer.max_grad_norm
            parameter.grad_sample = given.view(len(places), *parameter.shape).to(parameter.device, parameter.dtype)
            start += parameter.numel()


@contextmanager
def planted(
    canaries: Canaries, model: nn.Module, optimizer: torch.optim.Optimizer, plan: PrivacyPlan | None, divisor: float
) -> Iterator[tuple[nn.Module, Step]]:
    """Yield what `privacy.dp.engine.make_private` yields, with canaries in each step and their scores kept up to date.

    The scores are those of an observer who sees the noised gradient of every step, which is what the accountant assumes.
    """
    if plan is None:
        raise PrivacyError("canaries: without privacy there is no claim to audit; set privacy.enabled = true")
    spread = plan.gradient_noise * (1 + rounding_slack(base_dtype(model), plan.expected_batch))
    places = torch.from_numpy(canaries.places)

    def score(stepped: FlatClipping) -> None:
        released = torch.cat([parameter.grad.flatten().cpu() for parameter in stepped.params])[places]
        seen = released.double().numpy() * plan.expected_batch / bounds[-1]
        canaries.scores[:] += np.logaddexp(
            np.log1p(-plan.sampling_rate) if plan.sampling_rate < 1 else -np.inf,
            np.log(plan.sampling_rate) + (seen - 0.5) / spread**2,
        )
        bounds.append(stepped.max_grad_norm)

    with make_private(model, optimizer, plan, divisor) as (lent, step):
        assert isinstance(step, PrivateStep)  # noqa: S101  a plan gives a private step
        bounds = [step.optimizer.max_grad_norm]
        step.optimizer.attach_step_hook(score)
        yield lent, PlantedStep(step.optimizer, canaries=canaries, rate=plan.sampling_rate)
