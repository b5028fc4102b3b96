"""Generate the answers that people compare: those of the tuned model and of its base model, to public prompts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server.review.sheet import Pair, export
from shared.adapters.peft import base_only
from shared.errors import ConfigError
from shared.tasks.adapter_files import load_adapter
from shared.tasks.base import Learner
from shared.text.public import read_texts


def export_review(adapter: Path, prompts: Path, folder: Path, max_new_tokens: int) -> dict[str, Any]:
    """Answer each prompt of a file with the tuned and with the base model; write a blind sheet and its key.

    Parameters
    ----------
    adapter
        The folder of a finished run's adapter.
    prompts
        A file of public prompts.
    folder
        Where to write the sheet and its key.
    max_new_tokens
        Longest answer, in tokens.

    Returns
    -------
    dict[str, Any]
        The number of items, the number of prompts with identical answers, and the paths of sheet and key.

    Raises
    ------
    HushtuneError
        The adapter was not trained on an instruction task, the file has no prompts, or the folder already holds a sheet.
    """
    texts = [text for text, _ in read_texts(prompts)]
    _, learner = load_adapter(adapter)
    return export(pairs_of(learner, texts, max_new_tokens), folder)


def pairs_of(learner: Learner, prompts: Sequence[str], max_new_tokens: int) -> list[Pair]:
    """Return both models' greedy answers; prompts reach the models without anonymisation, so they must be public."""
    writer = learner.task.writer
    if writer is None:
        raise ConfigError("task.name: the answers of this task are labels, which people need not rate; see the run's report")
    tuned = writer.replies(learner.model, prompts, max_new_tokens)
    with base_only(learner.model):
        base = writer.replies(learner.model, prompts, max_new_tokens)
    return [Pair(*row) for row in zip(prompts, base, tuned, strict=True)]
