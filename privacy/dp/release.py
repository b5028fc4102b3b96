"""Release sums over a site's privacy units to the server: bounded, noised, and charged to the plan."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from privacy.dp.mechanism import Mechanism
from privacy.mechanism_event import MechanismEvent
from shared.config.data_stage import BalanceSection
from shared.config.privacy import PrivacySection

Floats = npt.NDArray[np.float64]
SHARE_BOUND = 1.0  # L2 norm of one unit's share of a sum


@dataclass(frozen=True)
class ReleasedSums:
    """Noised sums over a site's privacy units: bounded losses (nats), hits, and the number of units.

    ``hits`` is None if the task has no hits. The sums may be negative, and none of them is an exact count.
    """

    loss: float
    hits: float | None
    records: float


def metrics_event(privacy: PrivacySection) -> MechanismEvent:
    """Return the mechanism event of ``release_sums``: one Gaussian sum over all units.

    Parameters
    ----------
    privacy
        Section with the noise multiplier of the released sums.
    """
    return MechanismEvent(sampling_rate=1.0, noise_multiplier=privacy.release_noise, steps=1, purpose="metrics")


def label_counts_event(balance: BalanceSection) -> MechanismEvent:
    """Return the mechanism event of ``release_label_counts``: one Gaussian sum over all units.

    Parameters
    ----------
    balance
        Section with the noise multiplier of the counts.
    """
    return MechanismEvent(1.0, balance.count_noise, steps=1, purpose="label_counts")


def release_label_counts(shares: Floats, balance: BalanceSection) -> Floats:
    """Return the noised number of units per label; it may be negative.

    Formal guarantee: the Gaussian mechanism with L2 sensitivity 1 for adding or removing one unit, because a row of shares
    that add up to 1 has a norm of at most 1. Its event is ``label_counts_event``.

    Parameters
    ----------
    shares : array (N, L)
        Share of each label in each unit; each row adds up to 1.
    balance
        Section with the noise multiplier of the counts.

    Returns
    -------
    array (L,)
        Noised counts.
    """
    return _released(shares, Mechanism(SHARE_BOUND, balance.count_noise, shares.shape[1]))


def release_sums(losses: Floats, hits: Floats | None, privacy: PrivacySection) -> ReleasedSums:
    """Return noised sums over units of the loss, the hits and the number of units.

    Formal guarantee: the Gaussian mechanism (Dwork and Roth 2014, theorem A.1) with L2 sensitivity 1 and standard deviation
    ``release_noise``, for adding or removing one unit: the row of a unit, (loss / bound, hit, 1) / sqrt(k) with k numbers
    between 0 and 1, has a norm of at most 1. Its event is ``metrics_event``.

    Parameters
    ----------
    losses : array (N,)
        Mean loss of each unit in nats; clipped to 0 to ``release_loss_bound``.
    hits : array (N,) or None
        Share of correct answers in each unit, 0 to 1.
    privacy
        Section with the noise multiplier and the loss bound.
    """
    bound = privacy.release_loss_bound
    shares = [np.clip(np.nan_to_num(losses, nan=bound, posinf=bound), 0, bound) / bound]
    shares += [] if hits is None else [np.clip(np.nan_to_num(hits), 0, 1)]
    rows = np.stack([*shares, np.ones_like(losses)], axis=1)  # (N, k)
    scale = math.sqrt(rows.shape[1])
    sums = _released(rows / scale, Mechanism(SHARE_BOUND, privacy.release_noise, rows.shape[1])) * scale
    return ReleasedSums(float(sums[0]) * bound, None if hits is None else float(sums[1]), float(sums[-1]))


def _released(shares: Floats, mechanism: Mechanism) -> Floats:
    """Release the sum of shares (N, k) over units, (k,)."""
    sums: Floats = mechanism.release(mechanism.summed(torch.from_numpy(shares))).numpy()
    return sums
