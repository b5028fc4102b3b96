"""Compare the adapter with the base model and with the strongest baselines, in a sentence each."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from server.report.figures import is_known, measured
from shared.metrics.registry import measure


@dataclass(frozen=True)
class Verdict:
    """The comparison of a run's adapter with its base model; ``kind`` is better, same, worse or unknown."""

    kind: str
    headline: str
    sentence: str


WORDS = {
    "better": "better than",
    "same": "not distinguishable from",
    "worse": "worse than",
    "unknown": "not compared with",
}


def verdict(report: Mapping[str, Any], metric: str) -> Verdict:
    """Compare the adapter with its base model, and with the strongest baseline that had the same information and privacy.

    An adapter that beats its base model, but not that baseline, gets the kind ``same``: its training was not worth it.

    Parameters
    ----------
    report
        The whole report.
    metric
        Name of the metric.
    """
    found, fair = _against_base(report["base"].get(metric), report["final"].get(metric), metric), _fair(report)
    rival = _strongest(filter(fair, report["baselines"]), metric)
    free = _strongest((each for each in report["baselines"] if not fair(each)), metric)
    kind, headline, sentence = found.kind, found.headline, found.sentence
    if rival is not None:
        relation = _relation(report, rival, metric)
        sentence += (
            f" It is {WORDS[relation]} the strongest baseline with the same information and privacy, {rival['name']}, at "
            f"{measured(rival['metrics'][metric], metric)}."
        )
        if kind == "better" and relation != "better":
            kind, headline = "same", f"Better than the base model, but {WORDS[relation]} {rival['name']}"
    if free is not None:
        reached = measured(free["metrics"][metric], metric)
        sentence += f" The strongest baseline without privacy, {free['name']}, reaches {reached}."
    return Verdict(kind, headline, sentence)


def _fair(report: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], bool]:
    """Return which baselines had the run's information and privacy: in a run without privacy, all of them."""
    enabled = report["privacy"]["enabled"]
    return lambda baseline: bool(baseline["private"]) or not enabled


def _strongest(baselines: Iterable[Mapping[str, Any]], metric: str) -> Mapping[str, Any] | None:
    known = [baseline for baseline in baselines if is_known(baseline["metrics"].get(metric))]
    choose = min if measure(metric).lower_is_better else max
    return choose(known, key=lambda baseline: baseline["metrics"][metric]["value"], default=None)


def _relation(report: Mapping[str, Any], rival: Mapping[str, Any], metric: str) -> str:
    """Compare by the paired change on the same records if the report has it, else by the two intervals."""
    for found in report["assessment"]["differences"]:
        if (found["against"], found["metric"]) == (rival["name"], metric):
            return compare({"low": 0.0, "high": 0.0}, found["change"], metric)
    return compare(rival["metrics"][metric], report["final"].get(metric), metric)


def _against_base(base: Mapping[str, float] | None, final: Mapping[str, float] | None, metric: str) -> Verdict:
    """Compare the adapter with the base model by their intervals; overlapping intervals count as no difference."""
    kind = compare(base, final, metric)
    name = measure(metric).label
    change = f"{name[:1].upper()}{name[1:]} is {measured(final, metric)} with the adapter, {measured(base, metric)} without"
    if kind == "better":
        return Verdict(kind, "Better than the base model", f"{change}; the intervals do not overlap.")
    if kind == "worse":
        return Verdict(
            kind, "Worse than the base model", f"{change}. Training made the model worse: do not use this adapter."
        )
    if kind == "same":
        return Verdict(
            kind,
            "Not distinguishable from the base model",
            f"{change}; the intervals overlap, so this run shows no clear gain.",
        )
    return Verdict(kind, "No verdict", "The report lacks a comparable measurement of the base model and of the adapter.")


def compare(reference: Mapping[str, float] | None, measurement: Mapping[str, float] | None, metric: str) -> str:
    """Return whether a measurement is better than, worse than or the same as a reference, or unknown.

    Parameters
    ----------
    reference, measurement
        Intervals with the keys low and high.
    metric
        Name of the metric, which says whether lower is better.

    Returns
    -------
    str
        ``better``, ``worse``, ``same`` (the intervals overlap) or ``unknown`` (an end is missing).
    """
    ends = [(side or {}).get(end) for side in (reference, measurement) for end in ("low", "high")]
    if any(end is None or math.isnan(end) for end in ends):
        return "unknown"
    reference_low, reference_high, low, high = (end for end in ends if end is not None)
    if low <= reference_high and reference_low <= high:
        return "same"
    return "better" if (low > reference_high) != measure(metric).lower_is_better else "worse"
