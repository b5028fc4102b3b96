"""Forgetting: what the tuned model lost of the base model's abilities, measured on public texts unrelated to the run.

For a language model this is the perplexity of the texts; for an encoder, how well its embeddings separate their topics.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from server.evaluation import Evaluator
from server.probes.general import SENTENCES
from server.probes.robustness import changed
from shared.adapters.peft import base_only
from shared.errors import DataError
from shared.metrics.bootstrap import Sums, mean
from shared.tasks.cached_activations import embed
from shared.text.public import Text, read_texts

FOLDS = 5


def forgetting(evaluator: Evaluator, file: Path | None) -> dict[str, Any]:
    """Return the measure before and after tuning, and its paired change with an interval over the texts.

    The base model is the tuned one with its adapter switched off, so no second model is loaded.

    Raises
    ------
    DataError
        The file cannot be used.
    """
    texts: Sequence[Text] = general_texts(file, evaluator.learner.task.embeds) if file else SENTENCES
    with base_only(evaluator.learner.model):
        before = _measured(evaluator, texts)
    after = _measured(evaluator, texts)
    return {
        "texts": len(texts),
        "own_texts": file is None,
        "metric": before.name,
        "before": asdict(before.interval(*evaluator.resampling)),
        **changed(evaluator, before, after),
    }


def general_texts(file: Path, labelled: bool) -> list[Text]:
    """Return the operator's own texts.

    Raises
    ------
    DataError
        The file cannot be used, or has too few texts to measure anything.
    """
    texts = read_texts(file, labelled)
    labels = [label for _, label in texts]
    few = labelled and (len(set(labels)) < 2 or min(map(labels.count, set(labels))) < FOLDS)
    if few or len(texts) < 2:
        raise DataError(f"{file}: too few texts; give 2 or more, for a classification of 2 labels with {FOLDS} texts each")
    return texts


def _measured(evaluator: Evaluator, texts: Sequence[Text]) -> Sums:
    """Return the measure of the model in its current state: the hits of a probe on embeddings, or the primary metric."""
    learner = evaluator.learner
    given = learner.base.tokenizer(
        [text for text, _ in texts], truncation=True, max_length=evaluator.config.model.max_length
    )
    examples = [learner.task.whole_text(np.asarray(row, dtype=np.int64)) for row in given["input_ids"]]
    if not learner.task.embeds:
        return Evaluator(learner, examples, [""] * len(examples), evaluator.config).outcome().primary()
    states = embed(learner, examples, None, learner.tokens(evaluator.config.training))
    return mean("probe_accuracy", nearest_centroid_hits(states, [label for _, label in texts]))


def nearest_centroid_hits(states: npt.NDArray[np.float32], labels: Sequence[str | None]) -> npt.NDArray[np.float64]:
    """Return 1 for each text whose embedding is nearest, by cosine, to the mean of its own label, else 0, (N,).

    The means are of the other folds (cross-validation). A fold takes every fifth text of a label, so that the split is the
    same before and after tuning.
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
