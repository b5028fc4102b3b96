"""Recompute every site's epsilon from a privacy card, with dp-accounting alone: python docs/check_epsilon.py CARD.

Each sum costs 2^-31 more, because drawn noise is not exactly a rounded Gaussian (privacy/accounting.py says why).
"""

import json
import sys
from pathlib import Path

from dp_accounting import GaussianDpEvent, NeighboringRelation, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant

card = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["card"]
wrong = False
for site in card["sites"]:
    if site["epsilon"] is None:
        print(f"site {site['site_id']}: no differential privacy, so no epsilon")
        continue
    accountant = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE)
    for row in site["charged"]:
        one_step = PoissonSampledDpEvent(row["sampling_rate"], GaussianDpEvent(row["noise_multiplier"]))
        accountant.compose(SelfComposedDpEvent(one_step, row["steps"]))
    sums = sum(row["steps"] for row in site["charged"])
    found = float(accountant.get_epsilon(site["target_delta"])) + sums * 2.0**-31 if site["charged"] else 0.0
    wrong = wrong or abs(found - site["epsilon"]) > 1e-6
    print(f"site {site['site_id']}: epsilon {found!r} from its charges, {site['epsilon']!r} in the card")
sys.exit("epsilon in the card is not the epsilon of its charges" if wrong else 0)
