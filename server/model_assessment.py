"""What a person needs beyond one figure to judge a tuned model: tests against others, classes, calibration, its answers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from server.evaluation import Evaluator
from shared.metrics.bootstrap import Ints, Sums
from shared.metrics.calibration import calibration
from shared.metrics.classification import class_scores, confusion
from shared.metrics.generation import bleu_signature, generation_sums
from shared.metrics.paired import compare
from shared.seeds import derive
from shared.tasks.base import Outcome
from shared.tasks.classification import Classification
from shared.tasks.instruction import Instruction


@dataclass(frozen=True)
class Answers:
    """Generated answers beside the held-out ones; both may be shown to the server, and neither is written anywhere."""

    given: Sequence[str] = field(repr=False)
    references: Sequence[str] = field(repr=False)


@dataclass(frozen=True)
class Rival:
    """A model that the tuned one is compared with, on the same held-out records."""

    name: str
    outcome: Outcome = field(repr=False)
    answers: Answers | None = field(repr=False, default=None)


def assess(
    evaluator: Evaluator, outcome: Outcome, rivals: Sequence[Rival], answers: Answers | None = None
) -> dict[str, Any]:
    """The tuned model's assessment as plain values; numbers alone, no text of a record or an answer."""
    return {
        "records": len(evaluator.examples),
        "differences": differences(evaluator, evaluator.learner.task.chief(outcome), rivals),
        "classification": _classification(evaluator, outcome),
        "generation": _generation(evaluator, rivals, answers) if answers else None,
    }


def differences(evaluator: Evaluator, after: Sums, rivals: Sequence[Rival]) -> list[dict[str, Any]]:
    """The paired change of the chief metric from each rival to the tuned model."""
    task = evaluator.learner.task
    return [_difference(evaluator, rival.name, task.chief(rival.outcome), after) for rival in rivals]


def _difference(evaluator: Evaluator, name: str, before: Sums, after: Sums) -> dict[str, Any]:
    found = compare(before, after, *resampling(evaluator))
    return {"against": name, "metric": found.name, "change": asdict(found.change), "p_value": found.p_value}


def resampling(evaluator: Evaluator) -> tuple[int, float, int]:
    """Resamples, confidence and seed of the run's bootstrap."""
    section = evaluator.config.evaluation
    return section.bootstrap, section.confidence, derive(evaluator.config.run.seed, "bootstrap")


def _classification(evaluator: Evaluator, outcome: Outcome) -> dict[str, Any] | None:
    """Scores by class, the confusion matrix, and calibration where the model gave probabilities."""
    task = evaluator.learner.task
    if not isinstance(task, Classification):
        return None
    truth, predicted = outcome.first.astype(np.int64), outcome.second.astype(np.int64)
    scores = class_scores(truth, predicted, task.labels, *resampling(evaluator))
    return {
        "labels": list(task.labels),
        "classes": [asdict(score) for score in scores],
        "confusion": confusion(truth, predicted, len(task.labels)).tolist(),
        "calibration": _calibration(evaluator, truth, outcome),
    }


def _calibration(evaluator: Evaluator, truth: Ints, outcome: Outcome) -> dict[str, Any] | None:
    if outcome.probabilities is None:
        return None
    found = asdict(calibration(truth, outcome.probabilities, *resampling(evaluator)))
    return found | {"bins": [row for row in found["bins"] if row["records"]]}


def _generation(evaluator: Evaluator, rivals: Sequence[Rival], answers: Answers) -> dict[str, Any]:
    """Generated answers against the held-out ones, and the paired change from each rival that answered too."""
    sums = generation_sums(answers.given, answers.references)
    changes = [
        _difference(evaluator, rival.name, before, after)
        for rival in rivals
        if rival.answers is not None
        for before, after in zip(generation_sums(rival.answers.given, rival.answers.references), sums, strict=True)
    ]
    return {
        "answers": len(answers.given),
        "max_new_tokens": evaluator.config.evaluation.max_new_tokens,
        "signature": bleu_signature(),
        "metrics": {each.name: asdict(each.interval(*resampling(evaluator))) for each in sums},
        "differences": changes,
    }


def read_answers(evaluator: Evaluator) -> Answers | None:
    """The model's greedy answers to the first ``evaluation.answers`` held-out prompts; None where none are asked for."""
    task, section = evaluator.learner.task, evaluator.config.evaluation
    chosen = evaluator.examples[: section.answers]
    if not isinstance(task, Instruction) or not chosen:
        return None
    given = task.answers(evaluator.learner.model, chosen, section.max_new_tokens)
    return Answers(given, [task.reference(example) for example in chosen])
