"""Recompute every epsilon of a privacy card, with dp-accounting alone: python docs/check_epsilon.py CARD.

Each sum costs 2^-31 of epsilon more, because drawn noise is not exactly a rounded Gaussian, and 2^-49 of delta, because an
accountant's own sums are rounded (privacy/privacy_loss.py says why).
"""

import json
import sys
from pathlib import Path

from dp_accounting import GaussianDpEvent, NeighboringRelation, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant


def epsilon_of(site, left=1.0):
    """Return epsilon of a site's charges if this share of the variance of the noise is left."""
    accountant = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE)
    for row in site["charged"]:
        one_step = PoissonSampledDpEvent(row["sampling_rate"], GaussianDpEvent(row["noise_multiplier"] * left**0.5))
        accountant.compose(SelfComposedDpEvent(one_step, row["steps"]))
    sums = sum(row["steps"] for row in site["charged"])
    delta = site["target_delta"] - sums * 2.0**-49  # not above 0: infinite
    return float(accountant.get_epsilon(delta)) + sums * 2.0**-31 if site["charged"] else 0.0


card = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["card"]
private = [site for site in card["sites"] if site["epsilon"] is not None]
for site in card["sites"]:
    if site not in private:
        print(f"site {site['site_id']}: no differential privacy, so no epsilon")
# Two accountants round differently, by less than a quarter of that charge, which is a larger share of a smaller delta.
off = [1e-6 + (1e-13 + sum(row["steps"] for row in s["charged"]) * 2.0**-51) / s["target_delta"] for s in private]
stated = [(f"site {s['site_id']}", epsilon_of(s), s["epsilon"], off[n]) for n, s in enumerate(private)]
shared = card.get("privacy", {}).get("colluders") or {"table": ()}  # sites that share a noise: what colluders leave of it
for row in shared["table"]:
    worst, c = max(private, key=lambda site: len(site["charged"])), row["colluders"]
    left = min((sites - c) / (sites - shared["planned"]) for sites in (shared["smallest_sum"], shared["largest_sum"]))
    if row["epsilon"] is not None:
        stated.append((f"{c} colluding sites", epsilon_of(worst, left), row["epsilon"], 1e-4 * row["epsilon"]))
for name, found, claimed, _ in stated:
    print(f"{name}: epsilon {found!r} from the charges, {claimed!r} in the card")
wrong = any(abs(found - claimed) > tolerance for _, found, claimed, tolerance in stated)
sys.exit("epsilon in the card is not the epsilon of its charges" if wrong else 0)
