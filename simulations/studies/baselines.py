"""What the tuned model is compared with: rows that a simulator may compute, and a server could not."""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from server.evaluation import Evaluator, embed
from server.model_assessment import Answers, Rival, read_answers
from server.report.facts import Baseline
from shared.tasks.base import Example, Outcome
from shared.tasks.cached_activations import FrozenPrefix

Seen = tuple[Sequence[Example], FrozenPrefix | None]  # a site's encoded records, with what is kept of them


def majority(evaluator: Evaluator, training: Sequence[Seen]) -> Baseline:
    """Always the most frequent training label."""
    truth = np.array([example.target for example in evaluator.examples], dtype=np.float64)
    commonest = np.bincount(_targets(training)).argmax()
    outcome = Outcome(truth, np.full_like(truth, commonest))
    return _row(evaluator, "majority class", "always the most frequent training label", outcome)


def frozen_probe(evaluator: Evaluator, training: Sequence[Seen]) -> Baseline:
    """A logistic regression on mean-pooled embeddings of the untouched base model."""
    learner, tokens = evaluator.learner, evaluator.learner.tokens(evaluator.config.training)
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, C=0.1))
    fitted.fit(np.concatenate([embed(learner, *seen, tokens) for seen in training]), _targets(training))
    predicted = fitted.predict(embed(learner, evaluator.examples, evaluator.prefix, tokens)).astype(np.float64)
    truth = np.array([example.target for example in evaluator.examples], dtype=np.float64)
    note = "all sites' records pooled, no privacy: a simulator may, a federation could not"
    return _row(evaluator, "logistic regression on frozen embeddings", note, Outcome(truth, predicted))


def untouched(evaluator: Evaluator) -> Baseline:
    """The base model itself, with an adapter that does nothing yet."""
    answers = read_answers(evaluator)
    return _row(evaluator, "base model", "untouched, with its own chat template", evaluator.outcome(), answers)


def _row(evaluator: Evaluator, name: str, note: str, outcome: Outcome, answers: Answers | None = None) -> Baseline:
    return Baseline(name, note, evaluator.metrics(outcome), Rival(name, outcome, answers))


def _targets(training: Sequence[Seen]) -> list[int]:
    return [int(example.target) for examples, _ in training for example in examples]
