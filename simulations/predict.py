"""A finished adapter at work: it scores a file, or answers a text."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from privacy.anonymise.pipeline import Anonymiser
from server.adapter_files import load_adapter
from server.evaluation import Evaluator, choose_examples
from shared.errors import DataError
from shared.records.read import read_records
from shared.records.types import Record
from shared.tasks.instruction import Instruction


def score(folder: Path, file: Path) -> dict[str, Any]:
    """Metrics of a finished adapter on a file of records, scrubbed as in training.

    Raises:
        DataError: the file cannot be used, or every record was quarantined.
    """
    config, learner = load_adapter(folder)
    scrubbed = Anonymiser(config.anonymise).scrub(read_records(file, config))
    if not scrubbed.records:
        raise DataError(f"{file}: every record was quarantined; run hushtune anonymise on it to see why")
    chosen = choose_examples(len(scrubbed.records), config.evaluation, config.run.seed)
    examples = learner.task.encode([scrubbed.records[i] for i in chosen])
    evaluator = Evaluator(learner, examples, [file.stem] * len(examples), config)
    metrics = evaluator.metrics(evaluator.outcome())
    return {
        "records": len(examples),
        "quarantined": len(scrubbed.quarantined),
        "metrics": {name: asdict(interval) for name, interval in metrics.items()},
    }


def answer(folder: Path, text: str, max_new_tokens: int) -> str:
    """The tuned model's response to an instruction, or the label of a text."""
    config, learner = load_adapter(folder)
    if isinstance(learner.task, Instruction):
        return learner.task.generate(learner.model, text, max_new_tokens)
    fields: Mapping[str, str] = {"text": text}
    examples = learner.task.encode([Record(fields, config.task.labels[0])])
    _, batch = next(learner.batches(examples, [0], config.model.max_length))
    learner.model.eval()
    with torch.no_grad():
        return config.task.labels[int(learner.task.outcome(learner.model, batch).second[0])]
