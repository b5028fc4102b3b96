"""Compute which epsilon a shared noise leaves, for each number of sites that collude with the server."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from privacy.accounting import Accountant
from privacy.calibration import SMALLEST_NOISE
from privacy.mechanism_event import MechanismEvent
from privacy.secagg.noise_shares import NoiseShares
from shared.errors import PrivacyError

ROUNDING = 1e-9  # relative; the noise that the planned colluders leave is the planned noise, up to rounding


def colluder_rows(
    sums: Sequence[NoiseShares],
    events: Sequence[MechanismEvent],
    target_delta: float,
    accountant: Accountant,
    others: Accountant,
) -> list[dict[str, Any]]:
    """Return the noise multiplier and the epsilon that are left, by the number of colluding sites, in the worst sum.

    More colluders than planned leave least in the smallest sum. Fewer leave least in the largest, where each site's own
    share counts least.

    Parameters
    ----------
    sums
        The noise of the smallest and of the largest sum of the run.
    events
        What a site is charged for all attempts, with the planned noise; at least one event.
    target_delta
        Delta of the guarantee.
    accountant
        The accountant of the claim. The row for the planned number of colluders repeats the claim.
    others
        The accountant of the other rows. With a coarser grid it takes less time, and its figures are upper bounds too.

    Returns
    -------
    list of dict
        A row for each number of ``colluders``, from 0 to all sites but one of the smallest sum. ``epsilon`` is None where
        less than ``SMALLEST_NOISE`` is left.

    Raises
    ------
    PrivacyError
        An event has another noise multiplier than the sums.
    """
    planned = sums[0].noise_multiplier
    if any(event.noise_multiplier != planned for event in events):
        raise PrivacyError("a shared noise: a site has charges with several noise multipliers; report this as a bug")
    rows = []
    for colluders in range(min(each.sites for each in sums)):
        noise, epsilon = min(each.with_colluders(colluders) for each in sums), None
        if planned <= noise <= planned * (1 + ROUNDING):
            epsilon = accountant.epsilon(events, target_delta)
        elif noise >= SMALLEST_NOISE:
            epsilon = others.epsilon([replace(event, noise_multiplier=noise) for event in events], target_delta)
        rows.append({"colluders": colluders, "noise_multiplier": noise, "epsilon": epsilon})
    return rows
