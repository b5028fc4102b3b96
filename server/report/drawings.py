"""Choose the numbers, the screen-reader description and the legend of each chart of a report."""

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from server.report import charts
from server.report.figures import duration, epsilon, is_known, measured
from server.report.many_sites import listed, worst
from shared.metrics.registry import measure


def drawings(report: Mapping[str, Any], metric: str) -> dict[str, Markup]:
    """Return the SVG of each chart by name, leaving out charts without numbers."""
    drawn = {
        "progress": _progress(report, metric),
        "budget": _budget(report),
        "recall": _recall(report["anonymisation"]),
        "sites": _by_site(report, metric),
        "bars": _bars(report["stages"]),
    }
    return {name: Markup(svg) for name, svg in drawn.items() if svg}  # noqa: S704 -- charts.py escapes every name


def _progress(report: Mapping[str, Any], metric: str) -> str:
    """Draw the primary metric of the base model and after every round."""
    rounds = [(str(entry["round"]), entry["metrics"].get(metric)) for entry in report["rounds"]]
    places = [(name, interval) for name, interval in [("base", report["base"].get(metric)), *rounds] if is_known(interval)]
    if len(places) < 2:
        return ""
    label = f"Line chart of {measure(metric).label} by round: " + "; ".join(f"{n}: {measured(i, metric)}" for n, i in places)
    levels = [baseline["metrics"][metric]["value"] for baseline in _drawn_baselines(report, metric)]
    return charts.progress(label, [_point(*place) for place in places], levels, percent=measure(metric).percent)


def _budget(report: Mapping[str, Any]) -> str:
    """Draw the epsilon spent by each site after each round."""
    spent = {site["site_id"]: site["epsilon_by_round"] for site in listed(report["sites"]) if site["epsilon_by_round"]}
    if not spent or not report["privacy"]["enabled"]:
        return ""
    label = "Line chart of epsilon spent by round: " + "; ".join(
        f"{site} ends at {epsilon(e[-1])}" for site, e in spent.items()
    )
    lines = [[math.nan if e is None else float(e) for e in site] for site in spent.values()]
    return charts.budget(label, lines, _asked(report))


def _recall(anonymisation: Mapping[str, Any]) -> str:
    """Draw the recall by kind of personal data, the lowest on top."""
    places = sorted(((n, i) for n, i in anonymisation["recall"].items() if is_known(i)), key=lambda place: place[1]["value"])
    label = "Recall by kind of personal data: " + "; ".join(f"{n}: {measured(i, 'recall')}" for n, i in places)
    overall = anonymisation["overall"]
    level = overall["value"] if is_known(overall) else None
    return charts.intervals("recall", label, [_point(*place) for place in places], level, percent=True) if places else ""


def _by_site(report: Mapping[str, Any], metric: str) -> str:
    """Draw the final model's metric on each site's held-out records."""
    shown = worst(report["by_site"], metric)
    places = [(site, metrics[metric]) for site, metrics in shown.items() if is_known(metrics.get(metric))]
    label = f"{measure(metric).label} by site: " + "; ".join(f"{site}: {measured(i, metric)}" for site, i in places)
    final = report["final"].get(metric)
    level, percent = final["value"] if is_known(final) else None, measure(metric).percent
    return charts.intervals("sites", label, [_point(*place) for place in places], level, percent=percent) if places else ""


def _bars(stages: Mapping[str, float]) -> str:
    """Draw the time by stage."""
    rows = [(name, seconds, duration(seconds)) for name, seconds in stages.items()]
    label = "Bar chart of time by stage: " + "; ".join(f"{name}: {text}" for name, _, text in rows)
    return charts.bars(label, rows) if rows else ""


def _point(name: str, interval: Mapping[str, float]) -> charts.Point:
    """Convert an interval to a chart point; a value without ends becomes an interval of width 0."""
    middle = interval["value"]
    return charts.Point(name, middle, *(middle if interval.get(end) is None else interval[end] for end in ("low", "high")))


def _drawn_baselines(report: Mapping[str, Any], metric: str) -> list[Mapping[str, Any]]:
    """Return the baselines that have the primary metric, in the report's order."""
    return [baseline for baseline in report["baselines"] if is_known(baseline["metrics"].get(metric))]


def _asked(report: Mapping[str, Any]) -> float | None:
    """Return the epsilon that the config asks for, per site."""
    asked = (report["config"].get("privacy") or {}).get("epsilon")
    return None if asked is None else float(asked)


def legends(report: Mapping[str, Any], metric: str, confidence: str) -> dict[str, list[tuple[str, str]]]:
    """Return, for each chart with several lines, (CSS class, name) of each line in the order of the chart's colours."""
    colours = len(charts.SERIES)
    baselines = enumerate(_drawn_baselines(report, metric), 1)
    sites = [site["site_id"] for site in listed(report["sites"]) if site["epsilon_by_round"]]
    asked = _asked(report)
    return {
        "progress": [
            ("line s1", f"adapter, with {confidence}"),
            *((f"dash s{n % colours + 1}", b["name"]) for n, b in baselines),
        ],
        "budget": [
            *((f"line s{n}", site) for n, site in enumerate(sites[:colours], 1)),
            *([("line rest", f"{len(sites) - colours} more")] if len(sites) > colours else []),
            *([("dash muted", f"configured: {epsilon(asked)}")] if asked is not None else []),
        ],
    }
