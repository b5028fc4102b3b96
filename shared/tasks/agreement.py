"""Compare our results with those of the model's own library at start-up, on made-up texts."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from shared.errors import ModelError
from shared.models.library import one_sentence, quiet
from shared.tasks.base import Learner
from shared.tasks.examples import Batch, Example

LENGTHS = (13, 7)  # tokens of the texts; two lengths, so that one is padded
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}  # relative; rounding reaches 1e-5 on a model of 30 layers
HALF_TOLERANCE = 5e-2  # the tolerance in 16 bits


def refuse_other_results(learner: Learner) -> None:
    """Refuse a model for which our code gives other results than the model's own library.

    Each text must give the same in a batch, in training mode, as alone in the library's own forward pass: for a language
    model the loss, for an encoder the embedding. No token of a language model may see a later one. No record is read.

    Parameters
    ----------
    learner
        A task with a new adapter, which changes nothing yet.

    Raises
    ------
    ModelError
        A value differs, or the library fails.
    """
    name = learner.base.files.name
    examples = [learner.task.whole_text(ids) for ids in _texts(learner)]
    training = learner.model.training
    finer = "" if learner.base.dtype == torch.float32 else "set model.dtype = 'float32', or "
    remedy = f"{finer}use another model, and report this one as a bug"
    try:
        with torch.no_grad(), quiet(), one_sentence(f"{name}: its library cannot compute a batch of texts", remedy):
            learner.model.train()
            with learner.batch(examples) as batch:
                ours = _values(learner, batch)
            learner.model.eval()
            own = torch.stack([_own_value(learner, example) for example in examples])
            later = learner.base.kind == "causal" and _sees_later_tokens(learner, examples[0])
    finally:
        learner.model.train(training)
    if later:
        raise ModelError(f"{name}: a token sees the tokens after it, so this is no causal language model; use one that is")
    if not _far(ours, own) <= TOLERANCE.get(learner.base.dtype, HALF_TOLERANCE):
        raise ModelError(
            f"{name}: a text's result in a batch is not that of its library for the text alone (relative difference "
            f"{_far(ours, own):.0e}), so nothing is trained; {remedy}"
        )


def _texts(learner: Learner) -> list[Any]:
    """Return made-up token ids, spread over the vocabulary, without the padding token."""
    embeddings: Any = learner.base.network.get_input_embeddings()
    rows = min(len(learner.base.tokenizer), int(embeddings.weight.shape[0]))
    pad, longest = learner.base.tokenizer.pad_token_id, learner.task.max_length
    ids = np.array([number for number in np.arange(1, 4 * max(LENGTHS)) * 7919 % rows if number != pad], dtype=np.int64)
    return [ids[start : start + min(length, longest)] for start, length in enumerate(LENGTHS)]


def _values(learner: Learner, batch: Batch) -> torch.Tensor:
    """Return the values to compare: each text's embedding (B, hidden), or its loss (B, 1)."""
    task = learner.task
    return (task.embed(learner.model, batch) if task.embeds else task.losses(learner.model, batch)[:, None]).float()


def _own_value(learner: Learner, example: Example) -> torch.Tensor:
    """Return the same of one text by a plain call of the library's model."""
    network: Any = learner.base.network
    ids = torch.from_numpy(example.ids).to(learner.base.device)[None]
    if learner.task.embeds:
        mean: torch.Tensor = network(input_ids=ids).last_hidden_state[0].float().mean(dim=0)
        return mean
    logits = network(input_ids=ids, use_cache=False).logits[0].float()
    return F.cross_entropy(logits[:-1], ids[0, 1:])[None]


def _sees_later_tokens(learner: Learner, example: Example) -> bool:
    """Return whether the logits of the first tokens change if the last token does."""
    network: Any = learner.base.network
    ids = torch.from_numpy(example.ids).to(learner.base.device).repeat(2, 1)
    ids[1, -1] = ids[1, 0] if int(ids[1, 0]) != int(ids[1, -1]) else ids[1, 1]
    first, second = network(input_ids=ids, use_cache=False).logits[:, :-1].float()
    return _far(first, second) > TOLERANCE.get(learner.base.dtype, HALF_TOLERANCE)


def _far(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest distance between rows, relative to the norm of the row."""
    return float(((one - other).norm(dim=-1) / other.norm(dim=-1).clamp(min=1e-12)).max())
