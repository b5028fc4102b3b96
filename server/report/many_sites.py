"""Choose the rows of a page that has too many sites for it: the worst sites, and one sentence on the others."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from server.report.figures import count, epsilon, is_known
from shared.metrics.registry import measure

MOST = 64  # rows of a table of sites; report.json and privacy_card.json list every site

Site = Mapping[str, Any]


def listed(sites: Sequence[Site]) -> Sequence[Site]:
    """Return the sites that a page lists: all, or the ones with the highest epsilon if there are more than a page holds.

    Parameters
    ----------
    sites
        The report's rows of sites.
    """
    return sites if len(sites) <= MOST else sorted(sites, key=lambda site: (-_spent(site), str(site["site_id"])))[:MOST]


def others(sites: Sequence[Site], file: str = "report.json") -> str:
    """Return a sentence on the sites that ``listed`` leaves out; empty if there are none.

    Parameters
    ----------
    sites
        The rows of sites, of a report or of a card.
    file
        The file that lists all of them.
    """
    if len(sites) <= MOST:
        return ""
    left = {str(site["site_id"]) for site in sites} - {str(site["site_id"]) for site in listed(sites)}
    most = max((site["epsilon"] for site in sites if site["site_id"] in left and site["epsilon"] is not None), default=None)
    spent = "" if most is None else f", each with an epsilon of at most {epsilon(most)}"
    return f"{count(len(left))} more sites are not listed{spent}; {file} lists all {count(len(sites))}."


def worst(by_site: Mapping[str, Mapping[str, Any]], metric: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the sites whose metrics a page shows: all, or the ones with the worst values of a metric.

    Parameters
    ----------
    by_site
        Metrics by site.
    metric
        The primary metric.
    """
    if len(by_site) <= MOST:
        return by_site
    sign = -1 if measure(metric).lower_is_better else 1
    known = {site: found for site, found in by_site.items() if is_known(found.get(metric))}
    return dict(sorted(known.items(), key=lambda pair: (sign * float(pair[1][metric]["value"]), pair[0]))[:MOST])


def _spent(site: Site) -> float:
    return math.inf if site["epsilon"] is None else float(site["epsilon"])
