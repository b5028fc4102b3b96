"""The same measures for each declared group, and how far apart the groups are, by fairlearn's MetricFrame."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from server.evaluation import Evaluator
from server.model_assessment import resampling
from shared.errors import ConfigError

Floats = npt.NDArray[np.float64]
Measure = Callable[[Floats, Floats], float]
MOST_GROUPS = 20
RESAMPLES = 200  # of fairlearn's own bootstrap, which computes each in Python


def by_group(evaluator: Evaluator, column: str) -> dict[str, Any]:
    """Measures by group with bootstrap intervals, and the gap between the best and the worst group.

    Records that declare no group are left out. A resample that misses a group whole does not count for its interval.

    Raises:
        ConfigError: no record declares a group, or all the same, or there are too many to compare.
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
    """fairlearn's frame of the measures on the records with a group."""
    from fairlearn.metrics import MetricFrame

    outcome = evaluator.outcome().where(known)
    resamples, confidence, seed = resampling(evaluator)
    tail = (1 - confidence) / 2
    return MetricFrame(
        metrics=dict(_measures(evaluator.learner.task.kind)),
        y_true=outcome.first,
        y_pred=outcome.second,
        sensitive_features=np.array(groups),
        n_boot=min(resamples, RESAMPLES),
        ci_quantiles=[tail, 1 - tail],
        random_state=seed % 2**32,
    )


def _measures(kind: str) -> Mapping[str, Measure]:
    """Measures of an outcome's two columns."""
    if kind == "causal":
        return {"perplexity": lambda losses, tokens: float(np.exp(losses.sum() / tokens.sum()))}
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": accuracy_score,
        "macro_f1": lambda truth, predicted: float(f1_score(truth, predicted, average="macro", zero_division=0)),
    }


def _intervals(values: Any, ends: Any, group: str | None) -> dict[str, dict[str, float]]:
    """Values by measure, each with its two quantiles, as plain numbers."""
    low, high = (end if group is None else end.loc[group] for end in ends)
    return {
        str(name): {"value": float(values[name]), "low": float(low[name]), "high": float(high[name])}
        for name in values.index
    }
