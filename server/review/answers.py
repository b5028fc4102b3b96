"""Both models' answers to public prompts: the tuned one, and the same with its adapter switched off."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server.adapter_files import load_adapter
from server.review.sheet import Pair, export
from shared.adapters.peft import base_alone
from shared.errors import ConfigError
from shared.tasks.base import Learner
from shared.tasks.instruction import Instruction
from shared.text.public import read_texts


def export_review(adapter: Path, prompts: Path, folder: Path, max_new_tokens: int) -> dict[str, Any]:
    """Answer each prompt of a file with a finished adapter and with its base, and write the blind sheet and its key.

    Raises
    ------
    HushtuneError
        The adapter is none of an instruction task, the file has no prompts, or the folder a sheet.
    """
    texts = [text for text, _ in read_texts(prompts)]
    _, learner = load_adapter(adapter)
    return export(pairs_of(learner, texts, max_new_tokens), folder)


def pairs_of(learner: Learner, prompts: Sequence[str], max_new_tokens: int) -> list[Pair]:
    """Greedy answers of both models; each prompt goes in as it stands, so that it must be public."""
    task = learner.task
    if not isinstance(task, Instruction):
        raise ConfigError("task.name = 'classification': its answers are labels, which people need not rate; see its report")
    tuned = task.replies(learner.model, prompts, max_new_tokens)
    with base_alone(learner.model):
        base = task.replies(learner.model, prompts, max_new_tokens)
    return [Pair(*row) for row in zip(prompts, base, tuned, strict=True)]
