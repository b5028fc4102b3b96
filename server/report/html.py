"""The report as one HTML page that opens anywhere, loads nothing, and rounds no number in its own favour."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from server.report import charts
from server.report.figures import (
    count,
    day,
    duration,
    epsilon,
    measure,
    measured,
    number,
    setting,
    share,
    size,
    span,
    target_delta,
    value,
)

TRUST = {"local": "local: each site adds its own noise and has to trust nobody"}
# What stands in for a key that a report lacks. An absent privacy block must never read as a guarantee.
BLANK: dict[str, Any] = {
    **dict.fromkeys(("hushtune", "run", "run_id", "task", "created", "config_digest"), ""),
    **dict.fromkeys(("seed", "seconds")),
    **{"config": {}, "versions": {}, "base": {}, "final": {}, "by_site": {}, "stages": {}, "failures": []},
}
PARTS: dict[str, dict[str, Any]] = {
    "model": dict.fromkeys(("name", "digest", "dtype", "device", "parameters")),
    "adapter": dict.fromkeys(("path", "digest", "trainable_parameters", "bytes")),
    "privacy": {
        **dict.fromkeys(("trust", "unit", "relation", "mechanism", "clipping_norm", "guarantee")),
        "enabled": False,
        "not_protected": [],
    },
    "anonymisation": {"entities": {}, "recall": {}, "overall": None, "quarantined": {}},
}
ENTRIES: dict[str, dict[str, Any]] = {
    "baselines": {"name": "", "note": "", "metrics": {}},
    "rounds": {
        **dict.fromkeys(("round", "bytes_up", "bytes_down", "seconds")),
        **{"metrics": {}, "stages": {}, "accepted": [], "rejected": [], "missing": []},
    },
    "sites": {
        **dict.fromkeys(("site_id", "declared_size", "records", "held_out", "quarantined", "recall", "epsilon")),
        **dict.fromkeys(("target_delta", "noise_multiplier", "sampling_rate", "steps")),
        **{"quarantine_reasons": {}, "epsilon_by_round": []},
    },
}


def render(report: Mapping[str, Any]) -> str:
    """The whole page; the same report gives the same bytes."""
    environment = Environment(
        loader=PackageLoader("server.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_filters())
    return environment.get_template("report.html.j2").render(_page(_complete(report)))


def _filters() -> dict[str, Callable[..., str]]:
    """How the template writes each kind of number."""
    return {
        "measured": measured,
        "value": value,
        "span": span,
        "number": number,
        "count": count,
        "share": share,
        "size": size,
        "duration": duration,
        "epsilon": epsilon,
        "target_delta": target_delta,
        "day": day,
        "setting": setting,
        "label": lambda name: measure(name).label,
    }


def _complete(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report with every absent key filled in by what says "not reported"."""
    whole = {**BLANK, **report}
    for name, part in PARTS.items():
        whole[name] = {**part, **(report.get(name) or {})}
    for name, entry in ENTRIES.items():
        whole[name] = [{**entry, **given} for given in report.get(name) or []]
    return whole


def _page(report: Mapping[str, Any]) -> dict[str, Any]:
    """All that the template shows: the report itself, and what is derived from it."""
    metric = _chief(report)
    up, down = (_total(entry[key] for entry in report["rounds"]) for key in ("bytes_up", "bytes_down"))
    return {
        "r": report,
        "metric": metric,
        "metrics": _metrics(report),
        "lower": measure(metric).lower_is_better,
        "confidence": _confidence(report),
        "verdict": verdict(report["base"].get(metric), report["final"].get(metric), metric),
        "standing": _standing(report, metric),
        "worst": _worst(report["sites"]),
        "unreported": [site["site_id"] for site in report["sites"] if not _has_epsilon(site)],
        "sent": up,
        "received": down,
        "entities": _entities(report["anonymisation"]),
        "charts": _charts(report, metric),
        "legends": _legends(report),
        "stage_names": list(dict.fromkeys(name for entry in report["rounds"] for name in entry["stages"])),
        "most_rounds": max((len(site["epsilon_by_round"] or ()) for site in report["sites"]), default=0),
        "in_rounds": _total(entry["seconds"] for entry in report["rounds"]),
        "lost_replies": _lost_replies(report["rounds"]),
        "lost_records": [site for site in report["sites"] if site["quarantined"]],
        "rows_of": lambda table: [(name, setting(given)) for name, given in table.items()],
        "trust": TRUST,
    }


@dataclass(frozen=True)
class Verdict:
    """What the run came to: ``kind`` is better, same, worse or unknown."""

    kind: str
    headline: str
    sentence: str


def verdict(base: Mapping[str, float] | None, final: Mapping[str, float] | None, metric: str) -> Verdict:
    """Compare the adapter with the base model by their intervals; touching intervals are no difference."""
    kind = compare(base, final, metric)
    name = measure(metric).label
    change = f"{name[:1].upper()}{name[1:]} is {measured(final, metric)} with the adapter, {measured(base, metric)} without"
    if kind == "better":
        return Verdict(kind, "Better than the base model", f"{change}; the intervals do not touch.")
    if kind == "worse":
        return Verdict(kind, "Worse than the base model", f"{change}. Training did harm: do not use this adapter.")
    if kind == "same":
        return Verdict(
            kind,
            "Not distinguishable from the base model",
            f"{change}; the intervals overlap, so this run shows no gain.",
        )
    return Verdict(kind, "No verdict", "The report lacks a comparable measurement of the base model and of the adapter.")


def compare(reference: Mapping[str, float] | None, measurement: Mapping[str, float] | None, metric: str) -> str:
    """Whether a measurement is better, worse or the same as a reference, or unknown."""
    ends = [(side or {}).get(end) for side in (reference, measurement) for end in ("low", "high")]
    if any(end is None or math.isnan(end) for end in ends):
        return "unknown"
    reference_low, reference_high, low, high = (end for end in ends if end is not None)
    if low <= reference_high and reference_low <= high:
        return "same"
    return "better" if (low > reference_high) != measure(metric).lower_is_better else "worse"


def _standing(report: Mapping[str, Any], metric: str) -> str:
    """One sentence on the strongest baseline, since beating an untrained model alone says little."""
    known = [b for b in report["baselines"] if _known(b["metrics"].get(metric))]
    if not known:
        return ""
    best = (min if measure(metric).lower_is_better else max)(known, key=lambda b: b["metrics"][metric]["value"])
    words = {
        "better": "better than",
        "same": "not distinguishable from",
        "worse": "worse than",
        "unknown": "not compared with",
    }
    relation = words[compare(best["metrics"][metric], report["final"].get(metric), metric)]
    return f"It is {relation} the strongest baseline, {best['name']}, at {measured(best['metrics'][metric], metric)}."


def _known(interval: Mapping[str, float] | None) -> bool:
    """Whether there is a number to show."""
    middle = interval.get("value") if interval else None
    return middle is not None and not math.isnan(middle)


def _metrics(report: Mapping[str, Any]) -> list[str]:
    """Every metric of the run, in the order of first mention."""
    places = [
        report["final"],
        report["base"],
        *(entry["metrics"] for entry in report["rounds"]),
        *report["by_site"].values(),
    ]
    return list(dict.fromkeys(name for place in places for name in place))


def _chief(report: Mapping[str, Any]) -> str:
    """The metric of the verdict, the tiles and the charts."""
    names = _metrics(report)
    usual = [name for name in ("accuracy", "perplexity") if name in names]
    return [*usual, *names, "accuracy"][0]


def _confidence(report: Mapping[str, Any]) -> str:
    """``95 % intervals``, or ``intervals`` where the config does not say."""
    coverage = (report["config"].get("evaluation") or {}).get("confidence")
    return f"{coverage * 100:g} % intervals" if coverage else "intervals"


def _worst(sites: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The site with the highest epsilon, if any site has one."""
    return max(filter(_has_epsilon, sites), key=lambda site: float(site["epsilon"]), default=None)


def _has_epsilon(site: Mapping[str, Any]) -> bool:
    """Whether a site states an epsilon."""
    return site["epsilon"] is not None and not math.isnan(site["epsilon"])


def _total(amounts: Iterator[float | None]) -> float | None:
    """The sum of what is known, or nothing where nothing is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def _entities(anonymisation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for each kind of personal data, the most often replaced first."""
    replaced, recall = anonymisation["entities"], anonymisation["recall"]
    rows = [{"name": name, "replaced": replaced.get(name), "recall": recall.get(name)} for name in {**replaced, **recall}]
    return sorted(rows, key=lambda row: (-(row["replaced"] or 0), row["name"]))


def _lost_replies(rounds: Sequence[Mapping[str, Any]]) -> list[tuple[int, str, str]]:
    """(round, site, what happened) for each reply that did not count."""
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


def _charts(report: Mapping[str, Any], metric: str) -> dict[str, Markup]:
    """The SVG of each chart that there are numbers for."""
    drawn = {
        "progress": _progress(report, metric),
        "budget": _budget(report),
        "recall": _recall(report["anonymisation"]),
        "sites": _by_site(report, metric),
        "bars": _bars(report["stages"]),
    }
    return {name: Markup(svg) for name, svg in drawn.items() if svg}  # noqa: S704 -- charts.py escapes every name


def _progress(report: Mapping[str, Any], metric: str) -> str:
    """The chief metric from the base model through every round."""
    rounds = [(str(entry["round"]), entry["metrics"].get(metric)) for entry in report["rounds"]]
    places = [(name, interval) for name, interval in [("base", report["base"].get(metric)), *rounds] if _known(interval)]
    if len(places) < 2:
        return ""
    label = f"Line chart of {measure(metric).label} by round: " + "; ".join(f"{n}: {measured(i, metric)}" for n, i in places)
    levels = [baseline["metrics"][metric]["value"] for baseline in _drawn_baselines(report, metric)]
    return charts.progress(label, [_point(*place) for place in places], levels, percent=measure(metric).percent)


def _budget(report: Mapping[str, Any]) -> str:
    """Epsilon spent so far by site and round."""
    spent = {site["site_id"]: site["epsilon_by_round"] for site in report["sites"] if site["epsilon_by_round"]}
    if not spent or not report["privacy"]["enabled"]:
        return ""
    label = "Line chart of epsilon spent by round: " + "; ".join(
        f"{site} ends at {epsilon(e[-1])}" for site, e in spent.items()
    )
    lines = [[math.nan if e is None else float(e) for e in site] for site in spent.values()]
    return charts.budget(label, lines, _asked(report))


def _recall(anonymisation: Mapping[str, Any]) -> str:
    """Recall by kind of personal data, the weakest on top."""
    places = sorted(((n, i) for n, i in anonymisation["recall"].items() if _known(i)), key=lambda place: place[1]["value"])
    label = "Recall by kind of personal data: " + "; ".join(f"{n}: {measured(i, 'recall')}" for n, i in places)
    overall = anonymisation["overall"]
    level = overall["value"] if _known(overall) else None
    return charts.intervals("recall", label, [_point(*place) for place in places], level, percent=True) if places else ""


def _by_site(report: Mapping[str, Any], metric: str) -> str:
    """The final model on each site's held-out records."""
    places = [(site, metrics[metric]) for site, metrics in report["by_site"].items() if _known(metrics.get(metric))]
    label = f"{measure(metric).label} by site: " + "; ".join(f"{site}: {measured(i, metric)}" for site, i in places)
    final = report["final"].get(metric)
    level, percent = final["value"] if _known(final) else None, measure(metric).percent
    return charts.intervals("sites", label, [_point(*place) for place in places], level, percent=percent) if places else ""


def _bars(stages: Mapping[str, float]) -> str:
    """Where the time went."""
    rows = [(name, seconds, duration(seconds)) for name, seconds in stages.items()]
    label = "Bar chart of time by stage: " + "; ".join(f"{name}: {text}" for name, _, text in rows)
    return charts.bars(label, rows) if rows else ""


def _point(name: str, interval: Mapping[str, float]) -> charts.Point:
    """An interval as the charts take it; a bare value is an interval of no width."""
    middle = interval["value"]
    return charts.Point(name, middle, *(middle if interval.get(end) is None else interval[end] for end in ("low", "high")))


def _drawn_baselines(report: Mapping[str, Any], metric: str) -> list[Mapping[str, Any]]:
    """The baselines that have the chief metric, in the report's order."""
    return [baseline for baseline in report["baselines"] if _known(baseline["metrics"].get(metric))]


def _asked(report: Mapping[str, Any]) -> float | None:
    """The epsilon that the config allows a site."""
    asked = (report["config"].get("privacy") or {}).get("epsilon")
    return None if asked is None else float(asked)


def _legends(report: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """For each chart of several lines, (CSS class, name) in the charts' order of colours."""
    colours = len(charts.SERIES)
    baselines = enumerate(_drawn_baselines(report, _chief(report)), 1)
    sites = [site["site_id"] for site in report["sites"] if site["epsilon_by_round"]]
    asked = _asked(report)
    return {
        "progress": [
            ("line s1", f"adapter, with {_confidence(report)}"),
            *((f"dash s{n % colours + 1}", b["name"]) for n, b in baselines),
        ],
        "budget": [
            *((f"line s{n}", site) for n, site in enumerate(sites[:colours], 1)),
            *([("line rest", f"{len(sites) - colours} more")] if len(sites) > colours else []),
            *([("dash muted", f"asked for: {epsilon(asked)}")] if asked is not None else []),
        ],
    }
