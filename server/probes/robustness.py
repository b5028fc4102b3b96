"""How far the model holds when its texts have noise in them: by kind of noise, and at worst."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from server.evaluation import Evaluator
from server.model_assessment import resampling
from shared.config.evaluation import ProbesSection
from shared.metrics.bootstrap import Sums
from shared.metrics.paired import compare
from shared.records.types import Record
from shared.tasks.base import Outcome
from shared.text.perturbation import noised


def robustness(evaluator: Evaluator, section: ProbesSection) -> dict[str, Any]:
    """The chief metric on clean texts, under each kind of noise, and at the worst of a small search."""
    task, clean = evaluator.learner.task, evaluator.outcome()
    before = task.chief(clean)
    rows = []
    for kind in section.noises:
        outcome = outcome_on(evaluator, _noisy(evaluator, (kind,), section.rate, 0))
        rows.append({"noise": kind, **changed(evaluator, before, task.chief(outcome))})
    return {
        "metric": before.name,
        "rate": section.rate,
        "clean": asdict(before.interval(*resampling(evaluator))),
        "noises": rows,
        "worst": _worst(evaluator, section, clean) if section.search else None,
    }


def outcome_on(evaluator: Evaluator, records: Sequence[Record]) -> Outcome:
    """What the model does on other texts."""
    return replace(evaluator, examples=evaluator.learner.task.encode(records), prefix=None).outcome()


def changed(evaluator: Evaluator, before: Sums, after: Sums) -> dict[str, Any]:
    """A measure on changed texts, and its paired change from the texts as they were."""
    found = compare(before, after, *resampling(evaluator))
    value = after.interval(*resampling(evaluator))
    return {"value": asdict(value), "change": asdict(found.change), "p_value": found.p_value}


def _noisy(evaluator: Evaluator, kinds: Sequence[str], rate: float, draw: int) -> list[Record]:
    return [noised(record, kinds, rate, (evaluator.config.run.seed, draw)) for record in evaluator.records]


def _worst(evaluator: Evaluator, section: ProbesSection, clean: Outcome) -> Mapping[str, Any]:
    """Each record at the worst of its own text and some noised ones: random search, so a lower bound of the damage."""
    task = evaluator.learner.task
    tried = [outcome_on(evaluator, _noisy(evaluator, section.noises, section.rate, n + 1)) for n in range(section.search)]
    damage = np.stack([_damage(evaluator, outcome) for outcome in (clean, *tried)])  # (1 + search, N)
    worst = _picked((clean, *tried), damage.argmax(axis=0))
    return {"searched": section.search, **changed(evaluator, task.chief(clean), task.chief(worst))}


def _damage(evaluator: Evaluator, outcome: Outcome) -> npt.NDArray[np.float64]:
    """How badly the model does on each record, (N,): wrong or not, or the loss a token."""
    if evaluator.learner.task.kind == "encoder":
        return np.asarray(outcome.first != outcome.second, dtype=np.float64)
    return np.asarray(outcome.first / np.maximum(outcome.second, 1))


def _picked(outcomes: Sequence[Outcome], which: npt.NDArray[np.intp]) -> Outcome:
    """For each record the outcome of its own choice."""
    places = np.arange(len(which))
    return Outcome(*(np.stack([getattr(each, name) for each in outcomes])[which, places] for name in ("first", "second")))
