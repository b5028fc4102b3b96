"""Describe one kind of noised release: what a plan fixes, a ledger stores and an accountant adds up."""

from dataclasses import dataclass
from typing import Literal

from shared.errors import PrivacyError

Purpose = Literal["training", "clipping", "label_counts", "metrics"]
MOST_NOISE = 1e100  # whose square is a float


@dataclass(frozen=True)
class MechanismEvent:
    """A number of equal releases: ``steps`` Gaussian sums, each over a Poisson sample of the privacy units.

    Training steps, released metrics, label counts and the counts of adaptive clipping are all such sums. ``purpose`` says
    which of them an event is; it does not affect epsilon.

    Attributes
    ----------
    sampling_rate
        Probability q of each unit to be in a step, above 0 and at most 1 (1: a sum over all units).
    noise_multiplier
        Standard deviation of the noise, divided by the L2 sensitivity of the sum, above 0 and at most 1e100.
    steps
        Number of sums, 1 or more.
    purpose
        The kind of sum.

    Examples
    --------
    >>> from hushtune import Accountant, MechanismEvent
    >>> event = MechanismEvent(sampling_rate=0.01, noise_multiplier=1.0, steps=1000)
    >>> 1 < Accountant().epsilon([event], target_delta=1e-5) < 3
    True
    """

    sampling_rate: float
    noise_multiplier: float
    steps: int
    purpose: Purpose = "training"

    def __post_init__(self) -> None:
        if not 0 < self.sampling_rate <= 1:
            raise PrivacyError(f"sampling rate {self.sampling_rate}: must be above 0 and at most 1")
        if not 0 < self.noise_multiplier <= MOST_NOISE:
            raise PrivacyError(
                f"noise multiplier {self.noise_multiplier}: must be above 0, since without noise there is no epsilon, and "
                f"at most {MOST_NOISE:g}"
            )
        if not (self.steps >= 1 and self.steps % 1 == 0):
            raise PrivacyError(f"steps {self.steps}: must be a whole number, at least 1")
