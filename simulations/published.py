"""A finished adapter: written by a run, loaded again to score a file or to answer a text."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from privacy.anonymise.pipeline import Anonymiser
from server.adapter_files import CONFIG_FILE
from server.evaluation import Evaluator, choose_examples
from shared.config import RunConfig
from shared.errors import DataError, ModelError
from shared.record import Record
from shared.records import read_records
from shared.tasks import load_task
from shared.tasks.base import Learner
from shared.tasks.instruction import Instruction


def load_adapter(folder: Path) -> tuple[RunConfig, Learner]:
    """Rebuild the tuned model of an adapter folder; its base model comes from the run's config.

    Raises:
        ModelError: the folder is no adapter of a finished run.
    """
    path = folder / CONFIG_FILE
    try:
        config = RunConfig.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: no readable run config; give the adapter folder of a finished run") from error
    base, task = load_task(config)
    learner = Learner(base, task, task.build(base, config.run.seed))
    task.restore(learner.model, folder)
    return config, learner


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
