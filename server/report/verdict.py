"""Compare the adapter with the base model and with the strongest baseline, in one sentence each."""

import math
from collections.abc import Mapping
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


def verdict(base: Mapping[str, float] | None, final: Mapping[str, float] | None, metric: str) -> Verdict:
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


def standing(report: Mapping[str, Any], metric: str) -> str:
    """Compare the adapter with the strongest baseline, because beating only the untrained model says little."""
    known = [b for b in report["baselines"] if is_known(b["metrics"].get(metric))]
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
