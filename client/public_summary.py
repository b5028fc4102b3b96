"""Summarise a ledger for people outside of the site: bands instead of counts, and nothing that follows from records."""

import math
from pathlib import Path
from typing import Any

from client.statement import statement

FEWEST = 5  # a smaller count is not shown
SMALLEST_BAND = 0.25  # the smallest epsilon that a public summary names


def summary(folder: Path, *, public: bool, target_delta: float | None = None) -> dict[str, Any]:
    """Return how often a site's records were used, and what the uses have cost one record at most.

    A public summary leaves out all that follows from records: their number, which of them were in several runs, how many
    data sets the site made of them, and which rounds failed. Its epsilon is that of a record in all runs.

    Parameters
    ----------
    folder
        Folder of the ledger.
    public
        Whether to tell counts and epsilon in bands: counts below 5 as such and others by their power of ten, epsilon as
        the next power of two.
    target_delta
        Delta of the epsilon; None takes the smallest delta in the ledger.

    Raises
    ------
    LedgerError
        The ledger cannot be read or was altered.
    """
    found = statement(folder, target_delta)
    rows = found["reservations"]
    epsilon = found["in_all"]["epsilon"]
    runs, rounds = len({row["run_id"] for row in rows}), len(rows)
    return {
        "site_id": found["site_id"],
        "runs": count_band(runs) if public else str(runs),
        "rounds": count_band(rounds) if public else str(rounds),
        "units": sorted({row["unit"] for row in rows if row["unit"]}),
        "relation": found["relation"],
        "without_privacy": any(not row["events"] for row in rows),
        "target_delta": found["target_delta"],
        "epsilon_at_most": epsilon_band(epsilon) if public and epsilon is not None else epsilon,
    }


def count_band(count: int) -> str:
    """Return the band of a count, which is zero or more."""
    if count == 0:
        return "none"
    if count < FEWEST:
        return f"fewer than {FEWEST}"
    if count < 10:
        return f"{FEWEST} to 9"
    power = 10 ** (len(str(count)) - 1)
    return f"{power:,} to {10 * power - 1:,}"


def epsilon_band(epsilon: float) -> float:
    """Return the smallest power of two that a finite epsilon does not exceed, at least 0.25; zero stays zero."""
    if epsilon == 0:
        return 0.0
    band = max(SMALLEST_BAND, 2.0 ** math.floor(math.log2(epsilon)))
    return band if epsilon <= band else 2 * band
