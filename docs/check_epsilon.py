"""Recompute every site's epsilon from a privacy card, with dp-accounting alone: python docs/check_epsilon.py CARD.

Each sum costs 2^-31 more, because drawn noise is not exactly a rounded Gaussian (privacy/accounting.py says why).
"""

import json
import sys
from pathlib import Path

from dp_accounting import GaussianDpEvent, NeighboringRelation, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant


def epsilon_of(charged, target_delta, noise=None):
    """Return epsilon of the charges, with another noise multiplier if one is given."""
    accountant = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE)
    for row in charged:
        one_step = PoissonSampledDpEvent(row["sampling_rate"], GaussianDpEvent(noise or row["noise_multiplier"]))
        accountant.compose(SelfComposedDpEvent(one_step, row["steps"]))
    sums = sum(row["steps"] for row in charged)
    return float(accountant.get_epsilon(target_delta)) + sums * 2.0**-31 if charged else 0.0


card = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["card"]
wrong = False
for site in card["sites"]:
    if site["epsilon"] is None:
        print(f"site {site['site_id']}: no differential privacy, so no epsilon")
        continue
    found = epsilon_of(site["charged"], site["target_delta"])
    wrong = wrong or abs(found - site["epsilon"]) > 1e-6
    print(f"site {site['site_id']}: epsilon {found!r} from its charges, {site['epsilon']!r} in the card")
shared = card["privacy"].get("colluders")  # where the sites share one noise: what is left of it with c colluding sites
for row in shared["table"] if shared else []:
    worst = max(card["sites"], key=lambda each: len(each["charged"]))
    if row["epsilon"] is None or not worst["charged"]:
        continue
    sums, planned = (shared["smallest_sum"], shared["largest_sum"]), shared["planned"]
    left = min((sites - row["colluders"]) / (sites - planned) for sites in sums)  # share of the planned variance
    noise = worst["charged"][0]["noise_multiplier"] * left**0.5
    found = epsilon_of(worst["charged"], worst["target_delta"], noise)
    wrong = wrong or abs(found - row["epsilon"]) > 1e-3 * found
    print(f"{row['colluders']} colluding sites: epsilon {found!r} from the charges, {row['epsilon']!r} in the card")
sys.exit("epsilon in the card is not the epsilon of its charges" if wrong else 0)
