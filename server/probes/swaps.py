"""Swaps: whether the answer changes when a text is about another gender, or has names of another origin."""

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
    """Return a row for each kind of swap, over the records in which there is something to swap."""
    return [_row(evaluator, swap, *_differing(evaluator.records, swap)) for swap in section.swaps]


def _differing(records: Sequence[Record], swap: Swap) -> tuple[list[Record], list[Record]]:
    """Return both sides of each record in which there is something to swap."""
    pairs = [sides(record, swap) for record in records]
    kept = [(one, other) for one, other in pairs if one.fields != other.fields]
    return [one for one, _ in kept], [other for _, other in kept]


def _row(evaluator: Evaluator, swap: Swap, before: Sequence[Record], after: Sequence[Record]) -> dict[str, Any]:
    """Return how often the label flips, with a Wilson interval, and how the primary metric changes."""
    row: dict[str, Any] = {"swap": swap, "records": len(before), "metric": None, "flips": None, "effect": None}
    if not before:
        return row
    one, other = outcome_on(evaluator, before), outcome_on(evaluator, after)
    sums, answers = (one.primary(), other.primary()), (one.answers(), other.answers())
    if answers[0] is not None:
        flipped = int(np.sum(answers[0] != answers[1]))
        row["flips"] = {"count": flipped, **asdict(wilson(flipped, len(before), evaluator.config.evaluation.confidence))}
    return row | {"metric": sums[0].name, "effect": changed(evaluator, *sums)}
