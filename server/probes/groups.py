"""Metrics of each declared group, and the gaps between groups, by fairlearn's MetricFrame."""

from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from server.evaluation import Evaluator
from shared.errors import ConfigError
from shared.tasks.outcome import Outcome

MOST_GROUPS = 20
RESAMPLES = 200  # few, because fairlearn's bootstrap computes each metric in Python


def by_group(evaluator: Evaluator, column: str) -> dict[str, Any]:
    """Return metrics by group with bootstrap intervals, and the gap between the best and the worst group.

    Records without a group are left out. A resample without any record of a group does not count for that group's interval.

    Raises
    ------
    ConfigError
        The records declare fewer than two groups, or too many to compare.
    """
    known = np.array([place for place, group in enumerate(evaluator.groups) if group is not None], dtype=np.int64)
    groups = [str(evaluator.groups[place]) for place in known]
    if not 2 <= len(set(groups)) <= MOST_GROUPS:
        raise ConfigError(
            f"evaluation.probes.group: the held-out records are of {len(set(groups))} groups in column '{column}'; name a "
            f"column with 2 to {MOST_GROUPS}"
        )
    frame = _frame(evaluator, known, groups)
    counts = Counter(groups)
    rows = [
        {"group": name, "records": counts[name], "metrics": _intervals(frame.by_group.loc[name], frame.by_group_ci, name)}
        for name in sorted(counts)
    ]
    return {
        "column": column,
        "records": len(groups),
        "rows": rows,
        "gaps": _intervals(frame.difference(), frame.difference_ci(), None),
    }


def _frame(evaluator: Evaluator, known: npt.NDArray[np.int64], groups: list[str]) -> Any:
    """Return fairlearn's frame of the metrics of the records with a group; it computes on the places of records."""
    from fairlearn.metrics import MetricFrame

    outcome = evaluator.outcome().where(known)
    places = np.arange(len(known))
    resamples, confidence, seed = evaluator.resampling
    tail = (1 - confidence) / 2
    return MetricFrame(
        metrics={name: partial(_value, outcome, name) for name in outcome.values()},
        y_true=places,
        y_pred=places,
        sensitive_features=np.array(groups),
        n_boot=min(resamples, RESAMPLES),
        ci_quantiles=[tail, 1 - tail],
        random_state=seed % 2**32,
    )


def _value(outcome: Outcome, name: str, places: Any, _: Any) -> float:
    """Return a metric of the records at some places."""
    return outcome.where(np.asarray(places)).values()[name]


def _intervals(values: Any, ends: Any, group: str | None) -> dict[str, dict[str, float]]:
    """Return values by metric, each with its two quantiles, as plain numbers."""
    low, high = (end if group is None else end.loc[group] for end in ends)
    return {
        str(name): {"value": float(values[name]), "low": float(low[name]), "high": float(high[name])}
        for name in values.index
    }
