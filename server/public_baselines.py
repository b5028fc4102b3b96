"""Compute the baselines of a real federation, which read only the base model and the server's public records."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from server.evaluation import Evaluator
from server.model_assessment import Rival
from server.report.facts import Baseline
from shared.adapters.peft import base_only
from shared.tasks.cached_activations import embed
from shared.tasks.classification import ClassOutcome
from shared.tasks.outcome import Outcome

Floats = npt.NDArray[np.float32]


def public_baselines(test: Evaluator, validation: Evaluator | None) -> list[Baseline]:
    """Return what the base model and the validation records reach on the test records without any site.

    An adapter that is no better was not worth a federation. Each baseline counts as private, because it reads no record of
    a site.

    Parameters
    ----------
    test
        The evaluator of the test records. An adapter in its model is switched off meanwhile.
    validation
        The evaluator of the validation records; None where there are none, and then only the base model is compared.
    """
    return [
        Baseline(name, note, True, test.metrics(outcome), Rival(name, outcome))
        for name, note, outcome in _rows(test, validation)
    ]


def _rows(test: Evaluator, validation: Evaluator | None) -> Iterator[tuple[str, str, Outcome]]:
    """Yield name, note and outcome of each baseline of the task."""
    learner = test.learner
    tokens, baselines = learner.tokens(test.config.training), learner.task.baselines
    with base_only(learner.model):
        untrained = learner.task.untrained(learner, test.examples, tokens)
    if untrained is not None:
        yield "nearest label name", "the base model without training and without any record", untrained
    if validation is None:
        return
    only = f"the server's {len(validation.examples)} public validation records alone"
    trivial = learner.task.trivial(validation.examples, test.examples) if "trivial" in baselines else None
    if trivial is not None:
        yield trivial.name, only, trivial.outcome
    targets = [int(example.target) for example in validation.examples] if "frozen_probe" in baselines else []
    if len(set(targets)) > 1:
        with base_only(learner.model):
            known, asked = (embed(learner, each.examples, each.prefix, tokens) for each in (validation, test))
        yield "logistic regression on public records", only, fitted(known, targets, asked, test)


def fitted(known: Floats, targets: Sequence[int], asked: Floats, test: Evaluator) -> ClassOutcome:
    """Return the outcome of a logistic regression on embeddings.

    Parameters
    ----------
    known, targets
        Embeddings of the training records, (N, hidden), and their N labels, of which there are at least two.
    asked
        Embeddings of the test records, (M, hidden).
    test
        The evaluator of the test records.
    """
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, C=0.1))
    pipeline.fit(known, targets)
    truth = np.array([example.target for example in test.examples], dtype=np.int64)
    return ClassOutcome(labels=test.config.task.labels, truth=truth, predicted=pipeline.predict(asked))
