"""What the base model knew and the tuned one may have forgotten, on public texts that have nothing to do with the run.

A language model: its perplexity on the texts. An encoder: how well their topics can be told apart by its embeddings alone.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from server.evaluation import Evaluator, embed
from server.model_assessment import resampling
from server.probes.general import SENTENCES
from server.probes.robustness import changed
from shared.adapters.peft import base_alone
from shared.errors import DataError
from shared.metrics.bootstrap import Sums, mean
from shared.tasks.base import Example
from shared.text.public import Text, read_texts

FOLDS = 5


def forgetting(evaluator: Evaluator, file: Path | None) -> dict[str, Any]:
    """The measure before and after tuning, and its paired change, whose interval is over the texts.

    The base model is the tuned one with its adapter switched off, so no second model is loaded.

    Raises:
        DataError: the file cannot be used.
    """
    texts: Sequence[Text] = general_texts(file, _is_encoder(evaluator)) if file else SENTENCES
    with base_alone(evaluator.learner.model):
        before = _measured(evaluator, texts)
    after = _measured(evaluator, texts)
    return {
        "texts": len(texts),
        "own_texts": file is None,
        "metric": before.name,
        "before": asdict(before.interval(*resampling(evaluator))),
        **changed(evaluator, before, after),
    }


def general_texts(file: Path, labelled: bool) -> list[Text]:
    """The operator's own texts.

    Raises:
        DataError: the file cannot be used, or has too few texts to measure anything.
    """
    texts = read_texts(file, labelled)
    labels = [label for _, label in texts]
    few = labelled and (len(set(labels)) < 2 or min(map(labels.count, set(labels))) < FOLDS)
    if few or len(texts) < 2:
        raise DataError(f"{file}: too few texts; give 2 or more, for a classification of 2 labels with {FOLDS} texts each")
    return texts


def _is_encoder(evaluator: Evaluator) -> bool:
    return evaluator.learner.task.kind == "encoder"


def _measured(evaluator: Evaluator, texts: Sequence[Text]) -> Sums:
    """The measure of the model as it stands: the tokens' likelihood, or the hits of a probe on embeddings."""
    learner = evaluator.learner
    given = learner.base.tokenizer(
        [text for text, _ in texts], truncation=True, max_length=evaluator.config.model.max_length
    )
    ids = [np.asarray(row, dtype=np.int64) for row in given["input_ids"]]
    if not _is_encoder(evaluator):
        examples = [Example(row, np.ones(len(row), dtype=np.bool_)) for row in ids]
        return learner.task.chief(Evaluator(learner, examples, [""] * len(examples), evaluator.config).outcome())
    states = embed(learner, [Example(row, 0) for row in ids], None, learner.tokens(evaluator.config.training))
    return mean("probe_accuracy", nearest_centroid_hits(states, [label for _, label in texts]))


def nearest_centroid_hits(states: npt.NDArray[np.float32], labels: Sequence[str | None]) -> npt.NDArray[np.float64]:
    """Whether each text's embedding (N, hidden) is nearest, by cosine, to the mean of its own label's other folds, (N,).

    Folds take every fifth text of a label, so that the split is the same before and after.
    """
    unit = states / np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-12)
    names = sorted({str(label) for label in labels})
    own = np.array([names.index(str(label)) for label in labels])
    folds = np.zeros(len(own), dtype=np.int64)
    for number in range(len(names)):
        folds[own == number] = np.arange((own == number).sum()) % FOLDS
    hits = np.zeros(len(own))
    for fold in range(FOLDS):
        rest, test = folds != fold, folds == fold
        centroids = np.stack([unit[rest & (own == number)].mean(axis=0) for number in range(len(names))])
        centroids /= np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-12)
        hits[test] = (unit[test] @ centroids.T).argmax(axis=1) == own[test]
    return hits
