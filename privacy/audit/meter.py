"""Measure noise, bound and sampling of the product's own engine before any record, and the epsilon that follows from them.

The meter finds the faults that would make every claimed epsilon wrong: too little noise, a bound that does not hold, batches
that are not Poisson samples, noise that repeats. No record is read, because the gradients are synthetic.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from privacy.accounting import Accountant
from privacy.audit import checks
from privacy.audit.checks import Check, Range
from privacy.audit.rig import Floats, Rig, Trace, trace, unit_shares
from privacy.audit.secure_rig import SumTrace, sum_trace
from privacy.calibration import LARGEST_NOISE
from privacy.dp.plan import PrivacyPlan
from privacy.dp.rounding import rounding_slack
from privacy.privacy_loss import SEARCH_GRID
from privacy.secagg.noise_shares import KERNEL
from shared.errors import PrivacyError

PARTS = 64  # parts into which a long release is cut
FEWEST_COMPARED = 16  # numbers of a tensor whose noise is compared with that of other tensors
FEWEST_LONG = 4096  # numbers of a release in which repeated noise can be looked for


@dataclass(frozen=True)
class Reading:
    """What the meter saw.

    Attributes
    ----------
    checks
        Each check with its measured and its allowed value.
    noise
        Standard deviation of the noise / largest share of one unit, in the unit of the plan's noise multiplier.
    rate
        The sampling rate.
    accountable
        Whether an epsilon can be computed from noise and rate: the draws are independent and Poisson.
    """

    plan: PrivacyPlan
    checks: tuple[Check, ...]
    noise: Range
    rate: Range
    accountable: bool

    @property
    def failed(self) -> Check | None:
        """Return the first check that did not pass; None if all passed."""
        return next((check for check in self.checks if not check.passed), None)

    def refuse_failure(self) -> None:
        """Refuse to train if a check failed.

        Raises
        ------
        PrivacyError
            A check failed; the message names the first.
        """
        if self.failed is not None:
            raise PrivacyError(
                f"the meter saw {self.failed.seen:.6g} for '{self.failed.name}', and the plan allows {self.failed.allowed}, "
                "so its epsilon would be wrong and nothing is trained; run hushtune audit mechanism, and compare the "
                "installed versions with requirements/"
            )

    def epsilon(self, accountant: Accountant | None = None) -> Range | None:
        """Return the epsilon of the measured engine for the whole plan at its delta; None if none can be computed.

        The ends of the interval take the ends of noise and sampling rate. Under adaptive clipping or a shared noise, the
        plan's multiplier is scaled by the ratio of measured to planned noise.
        """
        if not self.accountable:
            return None
        accountant = accountant or Accountant(SEARCH_GRID)  # an estimate needs no finer grid

        def of(noise: float, rate: float) -> float:
            if not noise > 0:
                return math.inf
            step = replace(self.plan.events[0], noise_multiplier=min(noise, LARGEST_NOISE), sampling_rate=min(rate, 1.0))
            return accountant.epsilon((step, *self.plan.events[1:]) * self.plan.rounds, self.plan.target_delta)

        ends = ((self.noise.value, self.rate.value), (self.noise.high, self.rate.low), (self.noise.low, self.rate.high))
        return Range(*(of(*end) for end in ends))

    def document(self, accountant: Accountant | None = None) -> dict[str, Any]:
        """Return the reading as plain values, with the claimed epsilon and the one that was seen."""
        accountant = accountant or Accountant()
        seen = self.epsilon()
        return {
            "passed": self.failed is None,
            "trust": self.plan.trust,
            "claimed": self.plan.epsilon(accountant=accountant),
            "target_delta": self.plan.target_delta,
            "seen": asdict(seen) if seen else None,
            "noise_multiplier": {"claimed": self.plan.noise_multiplier, **asdict(self.noise)},
            "sampling_rate": {"claimed": self.plan.sampling_rate, **asdict(self.rate)},
            "checks": [asdict(check) for check in self.checks],
        }


def meter(plan: PrivacyPlan, sizes: Sequence[int], device: str = "cpu") -> Reading:
    """Run the engine of a plan on synthetic gradients, and compare what it did with what the plan claims.

    The chance that an honest engine fails is about 1e-6 for each of some twenty checks. The statistics see noise that is 3 %
    too small, and a sampling rate that is a fifth too high, nearly always; the bound is exact. Not measured are the
    per-record gradients themselves (`privacy.dp.selfcheck` compares those), the count of adaptive clipping, and releases
    other than the gradient sum.

    Parameters
    ----------
    plan
        The privacy plan of a site.
    sizes
        Numbers in each tensor that the run trains.
    device
        Where the run trains, ``cpu`` or ``cuda``; a GPU draws its own noise.
    """
    if plan.shared is not None:
        return _metered_sum(plan, sizes, device)
    seen, slack = trace(plan, sizes, device), rounding_slack("float32", plan.expected_batch)
    claimed = plan.gradient_noise * (1 + slack)
    found = [
        *checks.sampling(seen.included, plan.sampling_rate),
        *_independence(seen),
        *checks.on_grid(seen.fractions, seen.whole),
        checks.only_noise(seen.sums, seen.noise),
        checks.shape(seen.noise),
        checks.scale("noise, in C", seen.noise, claimed),
        checks.scale("noise of a long release, in C", seen.long, claimed),
        checks.even("tensor", np.split(seen.noise, np.cumsum(seen.sizes[:-1]), axis=1)),
        checks.even("step", list(seen.noise)),
        checks.even("part of a long release", np.array_split(seen.long, PARTS, axis=1)),
        checks.bound(seen.shares),
    ]
    share = found[-1].seen
    scale = plan.noise_multiplier / plan.gradient_noise / ((1 + slack) * share)
    return _reading(plan, found, seen.noise, scale, checks.rate_range(seen.included))


def _independence(seen: Trace) -> list[Check]:
    """Return the checks of the noise over steps and restarts, over tensors, and within one long release."""
    found = [checks.independent("noise over steps and restarts", np.concatenate([seen.noise, _starts(seen)]))]
    starts = np.cumsum((0, *seen.sizes[:-1]))
    wide = [start for start, size in zip(starts, seen.sizes, strict=True) if size >= min(FEWEST_COMPARED, max(seen.sizes))]
    each = min(size for size in seen.sizes if size >= min(FEWEST_COMPARED, max(seen.sizes)))
    tensors = np.stack([seen.noise[:, start : start + each].ravel() for start in wide])
    found.append(checks.independent("noise over tensors", tensors))
    if seen.long.shape[1] >= FEWEST_LONG:
        found.append(checks.unrepeated(seen.long))
    return found


def _starts(seen: Trace) -> Floats:
    """Return as many numbers from the start of each long release as a step has; no rows if the release is shorter."""
    count = seen.noise.shape[1]
    return seen.long[:, :count] if seen.long.shape[1] >= count else seen.long[:0, :0].reshape(0, count)


def _metered_sum(plan: PrivacyPlan, sizes: Sequence[int], device: str) -> Reading:
    """Meter one share of a shared noise, the noise that the sites which do not collude leave, and the masks."""
    seen: SumTrace = sum_trace(plan, sizes, device)
    assert plan.shared is not None  # noqa: S101  the caller checks it
    count = seen.shares.shape[1]
    noise_of = plan.shares(count, plan.shared.fewest)
    honest = seen.shares.reshape(-1, plan.shared.fewest, count)[:, : noise_of.honest].sum(axis=1)
    left = math.sqrt((plan.noise_multiplier * noise_of.sensitivity) ** 2 + KERNEL**2)
    share = checks.bound(unit_shares(plan, Rig.of(plan, sizes).sizes, device))
    found = [
        *checks.sampling(seen.included, plan.sampling_rate),
        checks.independent("noise over sites, attempts and restarts", seen.shares),
        checks.low_bits("low bits of a share", (seen.shares - 0.5).astype(np.int64)),
        checks.low_bits("low bits of a masked vector", seen.masked.astype(np.int64)),
        Check("totals under masks that are not the sum", float(not seen.unmasked), "0", seen.unmasked),
        checks.shape(seen.shares),
        checks.even("share", list(seen.shares)),
        checks.scale("noise of one share, in steps of the grid", seen.shares, noise_of.share_std),
        checks.scale("noise of the sites that do not collude, in steps of the grid", honest, left),
        share,
    ]
    return _reading(plan, found, honest, 1 / (noise_of.sensitivity * share.seen), checks.rate_range(seen.included))


def _reading(plan: PrivacyPlan, found: Sequence[Check], noise: Floats, scale: float, rate: Range) -> Reading:
    seen = checks.noise_std(noise)
    multiplier = Range(*(end * scale for end in (seen.value, seen.low, seen.high)))
    return Reading(plan, tuple(found), multiplier, rate, all(check.passed or check.accounted for check in found))
