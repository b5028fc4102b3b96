"""Render report.html and summary.html: self-contained pages that load nothing from elsewhere."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from server.report.audit import PROVES_NOTHING, audit_rows
from server.report.drawings import drawings, legends
from server.report.figures import setting
from server.report.many_sites import listed, others, worst
from server.report.template import charge_rows, environment
from server.report.trust_words import TRUST
from server.report.verdict import verdict
from shared.metrics.registry import measure

# Defaults for keys that a report lacks. A missing privacy block must never read as a guarantee.
BLANK: dict[str, Any] = {
    **dict.fromkeys(("hushtune", "run", "run_id", "task", "created", "config_digest"), ""),
    **dict.fromkeys(("seed", "seconds")),
    **{"config": {}, "versions": {}, "base": {}, "final": {}, "by_site": {}, "personal": {}, "stages": {}, "failures": []},
    **dict.fromkeys(("choice", "probes", "review", "energy")),
}
PARTS: dict[str, dict[str, Any]] = {
    "model": dict.fromkeys(("name", "digest", "dtype", "device", "parameters")),
    "adapter": dict.fromkeys(("path", "digest", "trainable_parameters", "bytes")),
    "privacy": {
        **dict.fromkeys(("trust", "unit", "relation", "mechanism", "sampling", "clipping", "clipping_norm", "guarantee")),
        "enabled": False,
        "not_protected": [],
        "grids": {},
    },
    "assessment": {"records": None, "differences": [], "classification": None, "generation": None},
    "anonymisation": {"entities": {}, "recall": {}, "overall": None, "quarantined": {}},
}
ENTRIES: dict[str, dict[str, Any]] = {
    "baselines": {"name": "", "note": "", "private": False, "metrics": {}},
    "rounds": {
        **dict.fromkeys(("round", "bytes_up", "bytes_down", "seconds", "kwh", "co2e_kg", "lost")),
        **{"metrics": {}, "stages": {}, "accepted": [], "rejected": [], "missing": [], "site_kwh": {}},
    },
    "sites": {
        **dict.fromkeys(("site_id", "declared_size", "records", "held_out", "quarantined", "recall", "epsilon")),
        **dict.fromkeys(("target_delta", "noise_multiplier", "sampling_rate", "steps")),
        **{"quarantine_reasons": {}, "epsilon_by_round": []},
    },
}


def render(report: Mapping[str, Any], card: Mapping[str, Any] | None = None, audits: Mapping[str, Any] | None = None) -> str:
    """Render the page, including the privacy card and what audits found; the same values give the same bytes."""
    page = _page(_complete(report))
    claimed = page["worst"]["epsilon"] if page["worst"] else None
    page |= {"audits": audit_rows(audits or {}, claimed, page["r"]["config_digest"]), "proves_nothing": PROVES_NOTHING}
    return environment().get_template("report.html.j2").render(page, card=card, charges=charge_rows)


def summary(report: Mapping[str, Any], card: Mapping[str, Any] | None = None) -> str:
    """Render one page to print for a data-protection officer, with whole sentences from the report and the card.

    Parameters
    ----------
    report
        The content of report.json.
    card
        The signed privacy card; None if there is none.
    """
    whole = _complete(report)
    metric = _primary(whole)
    declared = [site["declared_size"] for site in whole["sites"]]
    return (
        environment()
        .get_template("summary.html.j2")
        .render(
            r=whole,
            card=card,
            metric=metric,
            confidence=_confidence(whole),
            verdict=verdict(whole, metric),
            worst=_worst(card["sites"] if card else whole["sites"]),
            declared=sum(declared) if None not in declared else None,
            lower=measure(metric).lower_is_better,
        )
    )


def _complete(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report with a default, shown as "not reported", for every missing key."""
    whole = {**BLANK, **report}
    for name, part in PARTS.items():
        whole[name] = {**part, **(report.get(name) or {})}
    for name, entry in ENTRIES.items():
        whole[name] = [{**entry, **given} for given in report.get(name) or []]
    return whole


def _page(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return all values that the template shows: the report itself, and values derived from it."""
    metric = _primary(report)
    up, down = (_total(entry[key] for entry in report["rounds"]) for key in ("bytes_up", "bytes_down"))
    return {
        "r": report,
        "sites": listed(report["sites"]),
        "others": others(report["sites"]),
        "by_site": worst(report["by_site"], metric),
        "personal": _personal(report, metric),
        "metric": metric,
        "metrics": _metrics(report),
        "lower": measure(metric).lower_is_better,
        "confidence": _confidence(report),
        "verdict": verdict(report, metric),
        "worst": _worst(report["sites"]),
        "unreported": [site["site_id"] for site in report["sites"] if not _has_epsilon(site)],
        "sent": up,
        "received": down,
        "entities": _entities(report["anonymisation"]),
        "charts": drawings(report, metric),
        "legends": legends(report, metric, _confidence(report)),
        "stage_names": list(dict.fromkeys(name for entry in report["rounds"] for name in entry["stages"])),
        "most_rounds": max((len(site["epsilon_by_round"] or ()) for site in report["sites"]), default=0),
        "in_rounds": _total(entry["seconds"] for entry in report["rounds"]),
        "site_kwh": _site_kwh(report["rounds"]),
        "lost_replies": _lost_replies(report["rounds"]),
        "cut_off": [entry["lost"] for entry in report["rounds"] if entry["lost"] is not None],
        "lost_records": [site for site in report["sites"] if site["quarantined"]],
        "rows_of": lambda table: [(name, setting(given)) for name, given in table.items()],
        "trust": {name: words.meaning for name, words in TRUST.items()},
    }


def _personal(report: Mapping[str, Any], metric: str) -> list[tuple[str, Any, Any, Any]]:
    """Return a row for each listed site with a personal adapter: its name, the metric of both adapters, and the epsilon."""
    whole, own = report["by_site"], report["personal"]
    shown = worst({site: each["metrics"] for site, each in own.items()}, metric)
    return [
        (site, whole.get(site, {}).get(metric), found.get(metric), own[site]["epsilon"]) for site, found in shown.items()
    ]


def _site_kwh(rounds: Sequence[Mapping[str, Any]]) -> list[tuple[str, float]]:
    """Return the total electricity of each site that sent it, in kWh."""
    sites = sorted({site for entry in rounds for site in entry["site_kwh"]})
    return [(site, sum(entry["site_kwh"].get(site, 0.0) for entry in rounds)) for site in sites]


def _metrics(report: Mapping[str, Any]) -> list[str]:
    """Return the names of all metrics of the run, in the order of first mention."""
    places = [
        report["final"],
        report["base"],
        *(entry["metrics"] for entry in report["rounds"]),
        *report["by_site"].values(),
    ]
    return list(dict.fromkeys(name for place in places for name in place))


def _primary(report: Mapping[str, Any]) -> str:
    """Return the metric of the verdict, the tiles and the charts: the first that the task measures."""
    return [*_metrics(report), "accuracy"][0]


def _confidence(report: Mapping[str, Any]) -> str:
    """Return ``95 % intervals``, or ``intervals`` if the config states no confidence."""
    coverage = (report["config"].get("evaluation") or {}).get("confidence")
    return f"{coverage * 100:g} % intervals" if coverage else "intervals"


def _worst(sites: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the site with the highest epsilon, or None if no site has one."""
    return max(filter(_has_epsilon, sites), key=lambda site: float(site["epsilon"]), default=None)


def _has_epsilon(site: Mapping[str, Any]) -> bool:
    """Return whether a site has an epsilon."""
    return site["epsilon"] is not None and not math.isnan(site["epsilon"])


def _total(amounts: Iterator[float | None]) -> float | None:
    """Sum the known amounts; None if none is known."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def _entities(anonymisation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row per kind of personal data, the most often replaced first."""
    replaced, recall = anonymisation["entities"], anonymisation["recall"]
    rows = [{"name": name, "replaced": replaced.get(name), "recall": recall.get(name)} for name in {**replaced, **recall}]
    return sorted(rows, key=lambda row: (-(row["replaced"] or 0), row["name"]))


def _lost_replies(rounds: Sequence[Mapping[str, Any]]) -> list[tuple[int, str, str]]:
    """Return (round, site, reason) for each reply that was rejected or missing."""
    return [
        (entry["round"], site, event)
        for entry in rounds
        for site, event in [
            *(
                (rejected["site_id"], f"rejected: {rejected.get('reason') or 'no reason given'}")
                for rejected in entry["rejected"]
            ),
            *((site, "no reply in time") for site in entry["missing"]),
        ]
    ]
