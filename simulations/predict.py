"""Use a finished adapter: score it on a file of records, or let it answer a text."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from server.evaluation import Evaluator, choose_examples
from server.held_out_file import HeldOutFile
from shared.tasks.adapter_files import load_adapter


def score(folder: Path, file: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the metrics of a finished adapter on a file of records, scrubbed as in training.

    Parameters
    ----------
    folder
        The adapter's folder.
    file
        The file of records.
    overrides
        Changes of the run's config, such as ``model.name=FOLDER``.

    Raises
    ------
    DataError
        The file cannot be used, or every record was quarantined.
    """
    config, learner = load_adapter(folder, overrides=overrides)
    found = HeldOutFile.read(file, config)
    chosen = choose_examples(len(found.records), config.evaluation, config.run.seed)
    examples = learner.task.encode([found.records[i] for i in chosen])
    evaluator = Evaluator(learner, examples, [file.stem] * len(examples), config)
    metrics = evaluator.metrics(evaluator.outcome())
    return {
        "records": len(examples),
        "quarantined": found.quarantined,
        "metrics": {name: asdict(interval) for name, interval in metrics.items()},
    }


def answer(folder: Path, text: str, max_new_tokens: int, overrides: Sequence[str] = ()) -> str:
    """Return the tuned model's answer to a text, in words.

    Parameters
    ----------
    folder
        The adapter's folder.
    text
        The text; it is given to the model without anonymisation.
    max_new_tokens
        The longest generated answer, in tokens.
    overrides
        Changes of the run's config.
    """
    _, learner = load_adapter(folder, overrides=overrides)
    return learner.task.answer(learner, text, max_new_tokens)
