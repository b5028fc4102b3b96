"""The report as one HTML page that opens anywhere, loads nothing, and rounds no number in its own favour."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from server.report import charts

NONE = "\N{EM DASH}"
SUPERSCRIPT = str.maketrans("-0123456789", "\N{SUPERSCRIPT MINUS}⁰¹²³⁴⁵⁶⁷⁸⁹")
TRUST = {"local": "local: each site adds its own noise and need trust nobody"}
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


@dataclass(frozen=True)
class Measure:
    """How a metric is named, written and read."""

    label: str
    percent: bool = False
    lower_is_better: bool = False


MEASURES = {
    "accuracy": Measure("accuracy", percent=True),
    "macro_precision": Measure("macro precision", percent=True),
    "macro_recall": Measure("macro recall", percent=True),
    "macro_f1": Measure("macro F1", percent=True),
    "recall": Measure("recall", percent=True),
    "perplexity": Measure("perplexity", lower_is_better=True),
    "loss": Measure("loss", lower_is_better=True),
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
        "label": lambda name: _measure(name).label,
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
        "confidence": _confidence(report),
        "verdict": verdict(report["base"].get(metric), report["final"].get(metric), metric),
        "standing": _standing(report, metric),
        "worst": _worst(report["sites"]),
        "unreported": [s["site_id"] for s in report["sites"] if s["epsilon"] is None],
        "sent": up,
        "received": down,
        "entities": _entities(report["anonymisation"]),
        "charts": _charts(report, metric),
        "legends": _legends(report),
        "stage_names": list(dict.fromkeys(name for entry in report["rounds"] for name in entry["stages"])),
        "most_rounds": max((len(site["epsilon_by_round"]) for site in report["sites"]), default=0),
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
    name = _measure(metric).label
    change = (
        f"{name[:1].upper()}{name[1:]} is {measured(final, metric)} with the adapter, {measured(base, metric)} without"
    )
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
    return Verdict(
        kind, "No verdict", "The report lacks a comparable measurement of the base model and of the adapter."
    )


def compare(reference: Mapping[str, float] | None, measurement: Mapping[str, float] | None, metric: str) -> str:
    """Whether a measurement is better, worse or the same as a reference, or unknown."""
    ends = [(side or {}).get(end) for side in (reference, measurement) for end in ("low", "high")]
    if any(end is None or math.isnan(end) for end in ends):
        return "unknown"
    reference_low, reference_high, low, high = (end for end in ends if end is not None)
    if low <= reference_high and reference_low <= high:
        return "same"
    return "better" if (low > reference_high) != _measure(metric).lower_is_better else "worse"


def _standing(report: Mapping[str, Any], metric: str) -> str:
    """One sentence on the strongest baseline, since beating an untrained model alone says little."""
    known = [b for b in report["baselines"] if _known(b["metrics"].get(metric))]
    if not known:
        return ""
    best = (min if _measure(metric).lower_is_better else max)(known, key=lambda b: b["metrics"][metric]["value"])
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
    return bool(interval) and interval is not None and interval.get("value") is not None


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


def _measure(name: str) -> Measure:
    """The metric's entry, or a plain one for a metric that is not listed."""
    return MEASURES.get(name) or Measure(name.replace("_", " "))


def _confidence(report: Mapping[str, Any]) -> str:
    """``95 % intervals``, or ``intervals`` where the config does not say."""
    coverage = (report["config"].get("evaluation") or {}).get("confidence")
    return f"{coverage * 100:g} % intervals" if coverage else "intervals"


def _worst(sites: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The site with the highest epsilon, if any site has one."""
    return max((s for s in sites if s["epsilon"] is not None), key=lambda s: float(s["epsilon"]), default=None)


def _total(amounts: Iterator[float | None]) -> float | None:
    """The sum of what is known, or nothing where nothing is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def _entities(anonymisation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for each kind of personal data, the most often replaced first."""
    replaced, recall = anonymisation["entities"], anonymisation["recall"]
    rows = [
        {"name": name, "replaced": replaced.get(name), "recall": recall.get(name)} for name in {**replaced, **recall}
    ]
    return sorted(rows, key=lambda row: (-(row["replaced"] or 0), row["name"]))


def _lost_replies(rounds: Sequence[Mapping[str, Any]]) -> list[tuple[int, str, str]]:
    """(round, site, what happened) for each reply that did not count."""
    return [
        (entry["round"], site, event)
        for entry in rounds
        for site, event in [
            *((rejected["site_id"], f"rejected: {rejected['reason']}") for rejected in entry["rejected"]),
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
    places = [
        (name, interval) for name, interval in [("base", report["base"].get(metric)), *rounds] if _known(interval)
    ]
    if len(places) < 2:
        return ""
    label = f"Line chart of {_measure(metric).label} by round: " + "; ".join(
        f"{n}: {measured(i, metric)}" for n, i in places
    )
    levels = [baseline["metrics"][metric]["value"] for baseline in _drawn_baselines(report, metric)]
    return charts.progress(label, [_point(*place) for place in places], levels, percent=_measure(metric).percent)


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
    places = sorted(
        ((n, i) for n, i in anonymisation["recall"].items() if _known(i)), key=lambda place: place[1]["value"]
    )
    label = "Recall by kind of personal data: " + "; ".join(f"{n}: {measured(i, 'recall')}" for n, i in places)
    overall = anonymisation["overall"]
    level = overall["value"] if _known(overall) else None
    return (
        charts.intervals("recall", label, [_point(*place) for place in places], level, percent=True) if places else ""
    )


def _by_site(report: Mapping[str, Any], metric: str) -> str:
    """The final model on each site's held-out records."""
    places = [(site, metrics[metric]) for site, metrics in report["by_site"].items() if _known(metrics.get(metric))]
    label = f"{_measure(metric).label} by site: " + "; ".join(f"{site}: {measured(i, metric)}" for site, i in places)
    final = report["final"].get(metric)
    level, percent = final["value"] if _known(final) else None, _measure(metric).percent
    return (
        charts.intervals("sites", label, [_point(*place) for place in places], level, percent=percent) if places else ""
    )


def _bars(stages: Mapping[str, float]) -> str:
    """Where the time went."""
    rows = [(name, seconds, duration(seconds)) for name, seconds in stages.items()]
    label = "Bar chart of time by stage: " + "; ".join(f"{name}: {text}" for name, _, text in rows)
    return charts.bars(label, rows) if rows else ""


def _point(name: str, interval: Mapping[str, float]) -> charts.Point:
    """An interval as the charts take it; a bare value is an interval of no width."""
    middle = interval["value"]
    return charts.Point(
        name, middle, *(middle if interval.get(end) is None else interval[end] for end in ("low", "high"))
    )


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


def measured(interval: Mapping[str, float] | None, metric: str) -> str:
    """A value with its interval: ``83.1 % (81.0 to 85.0)``."""
    ends = span(interval, metric)
    return f"{value(interval, metric)} ({ends})" if ends else value(interval, metric)


def value(interval: Mapping[str, float] | None, metric: str) -> str:
    """The value of an interval, in the metric's form."""
    middle = interval.get("value") if interval else None
    return share(middle) if _measure(metric).percent else number(middle)


def span(interval: Mapping[str, float] | None, metric: str) -> str:
    """The ends of an interval, to the digits of its value: ``81.0 to 85.0``."""
    ends = [interval.get("low"), interval.get("high")] if interval else [None]
    if any(end is None for end in ends):
        return ""
    if _measure(metric).percent:
        return " to ".join(f"{100 * end:.1f}" for end in ends if end is not None)
    return " to ".join(number(end) for end in ends)


def share(amount: float | None) -> str:
    """A share as a percentage; what is almost all or almost none does not become all or none."""
    if amount is None or math.isnan(amount):
        return NONE
    if 0.9995 <= amount < 1:
        return "> 99.9 %"
    return "< 0.1 %" if 0 < amount < 0.0005 else f"{100 * amount:.1f} %"


def number(amount: float | None) -> str:
    """A number to about three digits, whole from 100 up."""
    if amount is None or math.isnan(amount):
        return NONE
    if math.isinf(amount):
        return "∞" if amount > 0 else "-∞"
    size_of = abs(amount)
    if size_of < 1:
        return f"{amount:.3g}"
    return f"{amount:,.{0 if size_of >= 100 else 1 if size_of >= 10 else 2}f}"


def count(amount: int | None) -> str:
    """A count, with separators of thousands."""
    return NONE if amount is None else f"{amount:,}"


def size(amount: float | None) -> str:
    """Bytes in decimal units: ``452 kB``."""
    if amount is None:
        return NONE
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return (
                f"{amount:.0f} B"
                if unit == "B"
                else f"{amount:.{0 if amount >= 100 else 1 if amount >= 10 else 2}f} {unit}"
            )
        amount /= 1000
    return f"{amount:,.1f} TB"


def duration(seconds: float | None) -> str:
    """A time: ``0.42 s``, ``8.4 s``, ``42 s``, ``1 min 37 s`` or ``2 h 5 min``."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    if seconds < 59.5:
        return f"{seconds:.{2 if seconds < 0.995 else 1 if seconds < 9.95 else 0}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def epsilon(amount: float | None) -> str:
    """A privacy loss, rounded up since it is an upper bound: ``7.99``."""
    if amount is None or math.isnan(amount):
        return NONE
    if math.isinf(amount):
        return "∞"
    digits = "1" if amount >= 100 else "0.01" if amount >= 0.1 else "0.001"
    return str(Decimal(repr(float(amount))).quantize(Decimal(digits), rounding=ROUND_CEILING))


def target_delta(amount: float | None) -> str:
    """The failure probability of the guarantee, to two digits and rounded up: ``3.2 x 10^-4`` in print."""
    if amount is None:
        return NONE
    if amount == 0:
        return "0"
    exact = Decimal(repr(float(amount)))
    power = exact.adjusted()
    lead = exact.scaleb(-power).quantize(Decimal("0.1"), rounding=ROUND_CEILING)
    if lead == 10:
        lead, power = Decimal("1.0"), power + 1
    return f"{lead} \N{MULTIPLICATION SIGN} 10{str(power).translate(SUPERSCRIPT)}"


def day(moment: str) -> str:
    """An ISO 8601 moment as people write it: ``23 November 2026, 12:00 UTC``."""
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return f"{parsed.day} {parsed:%B %Y, %H:%M} {parsed.tzname() or ''}".rstrip()


def setting(given: Any) -> str:
    """A value of the config as a person reads it: one line for each entry of a list of tables."""
    if given is None or given in ("", [], {}):
        return "not set"
    if isinstance(given, Mapping):
        return ", ".join(f"{key} = {setting(inner)}" for key, inner in given.items())
    if isinstance(given, list | tuple):
        return ("\n" if isinstance(given[0], Mapping) else ", ").join(setting(inner) for inner in given)
    return given if isinstance(given, str) else json.dumps(given)
