"""Use a finished adapter: score a file of records, or answer a text."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from privacy.anonymise.pipeline import Anonymiser
from server.adapter_files import load_adapter
from server.evaluation import Evaluator, choose_examples
from shared.errors import DataError
from shared.records.read import read_records


def score(folder: Path, file: Path) -> dict[str, Any]:
    """Return the metrics of a finished adapter on a file of records, scrubbed as in training.

    Parameters
    ----------
    folder
        The adapter's folder.
    file
        The file of records.

    Raises
    ------
    DataError
        The file cannot be used, or every record was quarantined.
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
    """Return the tuned model's answer to a text, in words.

    Parameters
    ----------
    folder
        The adapter's folder.
    text
        The text; it is given to the model without anonymisation.
    max_new_tokens
        The longest generated answer, in tokens.
    """
    _, learner = load_adapter(folder)
    return learner.task.answer(learner, text, max_new_tokens)
