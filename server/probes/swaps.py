"""Whether the answer changes when a text speaks of somebody else: another gender, names of another origin."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from server.evaluation import Evaluator
from server.probes.robustness import changed, outcome_on
from shared.config.evaluation import ProbesSection
from shared.metrics.bootstrap import wilson
from shared.records.types import Record
from shared.text.counterfactual import Swap, sides


def swaps(evaluator: Evaluator, section: ProbesSection) -> list[dict[str, Any]]:
    """A row for each kind of swap; only records in which there is something to swap count."""
    return [_row(evaluator, swap, *_differing(evaluator.records, swap)) for swap in section.swaps]


def _differing(records: Sequence[Record], swap: Swap) -> tuple[list[Record], list[Record]]:
    """Records in which there is something to swap, as they read of one and of another."""
    pairs = [sides(record, swap) for record in records]
    kept = [(one, other) for one, other in pairs if one.fields != other.fields]
    return [one for one, _ in kept], [other for _, other in kept]


def _row(evaluator: Evaluator, swap: Swap, before: Sequence[Record], after: Sequence[Record]) -> dict[str, Any]:
    """How often the label flips, with a Wilson interval, and how the chief metric changes; no more where nothing swaps."""
    row: dict[str, Any] = {"swap": swap, "records": len(before), "metric": None, "flips": None, "effect": None}
    if not before:
        return row
    one, other = outcome_on(evaluator, before), outcome_on(evaluator, after)
    task = evaluator.learner.task
    sums = task.chief(one), task.chief(other)
    if task.kind == "encoder":
        flipped = int(np.sum(one.second != other.second))
        row["flips"] = {"count": flipped, **asdict(wilson(flipped, len(before), evaluator.config.evaluation.confidence))}
    return row | {"metric": sums[0].name, "effect": changed(evaluator, *sums)}
