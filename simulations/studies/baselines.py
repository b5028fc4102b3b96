"""Compute the baselines of a simulation; some read all sites' records, which a real server could not do."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from server.evaluation import Evaluator
from server.model_assessment import Answers, Rival, read_answers
from server.report.facts import Baseline
from shared.tasks.cached_activations import FrozenPrefix, embed
from shared.tasks.classification import ClassOutcome
from shared.tasks.examples import Example
from shared.tasks.outcome import Outcome

Encoded = tuple[Sequence[Example], FrozenPrefix | None]  # a site's encoded records, with their cached states


def baselines_of(evaluator: Evaluator, training: Sequence[Encoded]) -> list[Baseline]:
    """Return the baselines that the task names.

    Parameters
    ----------
    evaluator
        The evaluator of the test records, with the untrained model.
    training
        The training records of each site.
    """
    rows = (BASELINES[name](evaluator, training) for name in evaluator.learner.task.baselines)
    return [row for row in rows if row is not None]


def trivial(evaluator: Evaluator, training: Sequence[Encoded]) -> Baseline | None:
    """Return the task's trivial baseline, which reads no text."""
    found = evaluator.learner.task.trivial([example for examples, _ in training for example in examples], evaluator.examples)
    return None if found is None else _row(evaluator, found.name, found.note, found.outcome)


def frozen_probe(evaluator: Evaluator, training: Sequence[Encoded]) -> Baseline | None:
    """Return a logistic regression on mean-pooled embeddings of the untouched base model; None if all have one label."""
    targets = [int(example.target) for examples, _ in training for example in examples]
    if len(set(targets)) < 2:
        return None
    learner, tokens = evaluator.learner, evaluator.learner.tokens(evaluator.config.training)
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, C=0.1))
    fitted.fit(np.concatenate([embed(learner, *one, tokens) for one in training]), targets)
    predicted = fitted.predict(embed(learner, evaluator.examples, evaluator.prefix, tokens))
    truth = np.array([example.target for example in evaluator.examples], dtype=np.int64)
    outcome = ClassOutcome(labels=evaluator.config.task.labels, truth=truth, predicted=predicted)
    note = "all sites' records pooled, no privacy: a simulation can do this, a federation cannot"
    return _row(evaluator, "logistic regression on frozen embeddings", note, outcome)


def untouched(evaluator: Evaluator, training: Sequence[Encoded]) -> Baseline:
    """Return the untrained base model, whose adapter has no effect yet."""
    answers = read_answers(evaluator)
    return _row(evaluator, "base model", "untouched, with its own chat template", evaluator.outcome(), answers)


BASELINES: Mapping[str, Callable[[Evaluator, Sequence[Encoded]], Baseline | None]] = {
    "trivial": trivial,
    "frozen_probe": frozen_probe,
    "untouched": untouched,
}


def _row(evaluator: Evaluator, name: str, note: str, outcome: Outcome, answers: Answers | None = None) -> Baseline:
    return Baseline(name, note, evaluator.metrics(outcome), Rival(name, outcome, answers))
