"""Measure robustness: the primary metric on noised texts, by kind of noise and in the worst case of a random search."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from server.evaluation import Evaluator
from shared.config.evaluation import ProbesSection
from shared.metrics.bootstrap import Sums
from shared.metrics.paired import compare
from shared.records.types import Record
from shared.tasks.outcome import Outcome, picked
from shared.text.perturbation import noised


def robustness(evaluator: Evaluator, section: ProbesSection) -> dict[str, Any]:
    """Return the primary metric on clean texts, under each kind of noise, and in the worst case of a small search."""
    clean = evaluator.outcome()
    before = clean.primary()
    rows = []
    for kind in section.noises:
        outcome = outcome_on(evaluator, _noisy(evaluator, (kind,), section.rate, 0))
        rows.append({"noise": kind, **changed(evaluator, before, outcome.primary())})
    return {
        "metric": before.name,
        "rate": section.rate,
        "clean": asdict(before.interval(*evaluator.resampling)),
        "noises": rows,
        "worst": _worst(evaluator, section, clean) if section.search else None,
    }


def outcome_on(evaluator: Evaluator, records: Sequence[Record]) -> Outcome:
    """Return what the model does on other records."""
    return replace(evaluator, examples=evaluator.learner.task.encode(records), prefix=None).outcome()


def changed(evaluator: Evaluator, before: Sums, after: Sums) -> dict[str, Any]:
    """Return a metric on changed texts, and its paired change from the unchanged texts."""
    found = compare(before, after, *evaluator.resampling)
    value = after.interval(*evaluator.resampling)
    return {"value": asdict(value), "change": asdict(found.change), "p_value": found.p_value}


def _noisy(evaluator: Evaluator, kinds: Sequence[str], rate: float, draw: int) -> list[Record]:
    return [noised(record, kinds, rate, (evaluator.config.run.seed, draw)) for record in evaluator.records]


def _worst(evaluator: Evaluator, section: ProbesSection, clean: Outcome) -> Mapping[str, Any]:
    """Return the metric where each record counts with the worst result among its own text and some noised texts.

    This is a random search, so the damage that it finds is a lower bound.
    """
    tried = [outcome_on(evaluator, _noisy(evaluator, section.noises, section.rate, n + 1)) for n in range(section.search)]
    damage = np.stack([outcome.damage() for outcome in (clean, *tried)])  # (1 + search, N)
    worst = picked((clean, *tried), damage.argmax(axis=0))
    return {"searched": section.search, **changed(evaluator, clean.primary(), worst.primary())}
