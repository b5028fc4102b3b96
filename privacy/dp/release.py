"""What a site measures and the server may see: sums over records, each record's share bounded, noised, in the plan."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from privacy.accounting import MechanismEvent
from privacy.dp.mechanism import Mechanism
from shared.config.data_stage import BalanceSection
from shared.config.privacy import PrivacySection

Floats = npt.NDArray[np.float64]
SHARE_BOUND = 1.0  # L2 norm of one unit's share of a sum


@dataclass(frozen=True)
class ReleasedSums:
    """Noised sums over a site's privacy units: of their bounded losses (nats), of hits, and of ones.

    ``hits`` is None where a task has none. The sums may be negative, and are no exact counts of anything.
    """

    loss: float
    hits: float | None
    records: float


def metrics_event(privacy: PrivacySection) -> MechanismEvent:
    """What ``release_sums`` costs: one Gaussian sum over all records."""
    return MechanismEvent(sampling_rate=1.0, noise_multiplier=privacy.release_noise, steps=1, purpose="metrics")


def label_counts_event(balance: BalanceSection) -> MechanismEvent:
    """What ``release_label_counts`` costs: one Gaussian sum over all units."""
    return MechanismEvent(1.0, balance.count_noise, steps=1, purpose="label_counts")


def release_label_counts(shares: Floats, balance: BalanceSection) -> Floats:
    """Noised number of units by label, (L,), from each unit's share of each label, (N, L); may be negative.

    Formal guarantee: the Gaussian mechanism with L2 sensitivity 1 for adding or removing one unit, since a row of shares
    that add up to 1 has a norm of at most 1. Its event is ``label_counts_event``.
    """
    return _released(shares, Mechanism(SHARE_BOUND, balance.count_noise, shares.shape[1]))


def release_sums(losses: Floats, hits: Floats | None, privacy: PrivacySection) -> ReleasedSums:
    """Noised sums over units of loss (N,), hits (N,) from 0 to 1, and one.

    Formal guarantee: the Gaussian mechanism (Dwork and Roth 2014, theorem A.1) with L2 sensitivity 1 and standard
    deviation ``release_noise``, for adding or removing one unit: a unit's row (loss / bound, hit, 1) / sqrt(k) of k
    numbers between 0 and 1 has a norm of at most 1. Its event is ``metrics_event``.
    """
    bound = privacy.release_loss_bound
    shares = [np.clip(np.nan_to_num(losses, nan=bound, posinf=bound), 0, bound) / bound]
    shares += [] if hits is None else [np.clip(np.nan_to_num(hits), 0, 1)]
    rows = np.stack([*shares, np.ones_like(losses)], axis=1)  # (N, k)
    scale = math.sqrt(rows.shape[1])
    sums = _released(rows / scale, Mechanism(SHARE_BOUND, privacy.release_noise, rows.shape[1])) * scale
    return ReleasedSums(float(sums[0]) * bound, None if hits is None else float(sums[1]), float(sums[-1]))


def _released(shares: Floats, mechanism: Mechanism) -> Floats:
    """Release the sum over units, (k,), of shares (N, k)."""
    sums: Floats = mechanism.release(mechanism.summed(torch.from_numpy(shares))).numpy()
    return sums
