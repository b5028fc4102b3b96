"""Compute the card's table of colluders: which epsilon is left if more sites than planned collude with the server."""

from dataclasses import replace
from typing import Any

from privacy.accounting import Accountant
from privacy.calibration import SMALLEST_NOISE
from privacy.privacy_loss import SEARCH_GRID
from privacy.secagg.noise_shares import NoiseShares
from privacy.secagg.shared_plan import SharedNoise
from server.report.card_facts import CardFacts, SiteCharges
from server.report.wording import colluder_words
from shared.errors import PrivacyError

ROUNDING = 1e-9  # relative; the noise that the planned colluders leave is the planned noise, up to rounding


def shares_of(facts: CardFacts, shared: SharedNoise, noise_multiplier: float, sites: int) -> NoiseShares:
    """Return the noise of a sum of this many sites."""
    bound, dimension = facts.config.privacy.clipping_norm, facts.trainable_parameters
    batch, colluders = shared.expected_batch, shared.colluders
    return NoiseShares(bound, noise_multiplier, dimension, batch, sites, colluders, shared.slack)


def colluder_table(facts: CardFacts) -> dict[str, Any] | None:
    """Return epsilon by the number of sites that collude with the server; None where sites share no noise."""
    shared = facts.shared
    if shared is None:
        return None
    worst = max(facts.sites, key=lambda site: sum(charge.event.steps for charge in site.charges))
    rows = [_with_colluders(facts, shared, worst, colluders) for colluders in range(shared.fewest)]
    return {
        "planned": shared.colluders,
        "smallest_sum": shared.fewest,
        "largest_sum": shared.sites,
        "statement": colluder_words(shared.colluders, shared.fewest, shared.sites),
        "table": rows,
    }


def _with_colluders(facts: CardFacts, shared: SharedNoise, site: SiteCharges, colluders: int) -> dict[str, Any]:
    """Return the noise multiplier and epsilon that are left with this many colluders, in the sums that have least left.

    More colluders than planned leave least in the smallest sum. Fewer leave least in the largest, where each site's own
    share counts least.
    """
    if not site.charges or site.target_delta is None:
        return {"colluders": colluders, "noise_multiplier": None, "epsilon": 0.0}
    planned = site.charges[0].event.noise_multiplier
    if any(charge.event != site.charges[0].event for charge in site.charges):
        raise PrivacyError(
            f"privacy card: site {site.site_id} has charges of several kinds under a shared noise; report this"
        )
    sums = (shares_of(facts, shared, planned, sites) for sites in (shared.fewest, shared.sites))
    noise = min(each.with_colluders(colluders) for each in sums)
    if noise < SMALLEST_NOISE:
        return {"colluders": colluders, "noise_multiplier": noise, "epsilon": None}
    if planned <= noise <= planned * (1 + ROUNDING):  # the row for the planned number of colluders repeats the claim
        epsilon = facts.accountant.epsilon([charge.event for charge in site.charges], site.target_delta)
    else:  # an upper bound too, from a coarser grid that takes less time
        events = [replace(charge.event, noise_multiplier=noise) for charge in site.charges]
        epsilon = Accountant(SEARCH_GRID).epsilon(events, site.target_delta)
    return {"colluders": colluders, "noise_multiplier": noise, "epsilon": epsilon}
