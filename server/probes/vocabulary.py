"""Find the words of a model's vocabulary that would change its answer most, by the gradient of the answer."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from shared.tasks.base import Learner
from shared.tasks.examples import Example

FRONT = 1  # the place after an encoder's first special token
SHORTEST = 2  # letters of a word


def pulling_words(learner: Learner, examples: Sequence[Example], known: Collection[str], most: int) -> list[str]:
    """Return, for each class, the ``most`` words that would raise its log-probability most when put before the examples.

    Words in ``known``, in lower case, are left out. A filler token takes the place of the word; words are ranked by the
    product of their embedding with the mean gradient there, a first-order estimate (HotFlip, Ebrahimi et al. 2018, arXiv
    1712.06751; as triggers: Wallace et al. 2019, arXiv 1908.07125).

    Parameters
    ----------
    learner
        The classification task and its tuned model.
    examples
        Encoded texts.
    known
        Words to leave out, in lower case.
    most
        Number of words for each class.
    """
    table: Any = learner.base.network.get_input_embeddings().weight
    every = whole_words(learner.base.tokenizer, len(table))
    words = {number: word for number, word in every.items() if word.lower() not in known}
    if not words:
        return []
    numbers = torch.tensor(list(words), device=table.device)
    found: dict[str, None] = {}
    for gradient in _gradients(learner, examples):  # (hidden,), for one class
        gains = table[numbers].float() @ gradient.float()
        chosen = gains.topk(min(most, len(numbers))).indices.tolist()
        found |= dict.fromkeys(words[int(numbers[place])] for place in chosen)
    return list(found)


def whole_words(tokenizer: Any, size: int) -> dict[int, str]:
    """Return the tokens below ``size`` that are a whole word of letters, by number."""
    tokens = {number: token for token, number in tokenizer.get_vocab().items() if number < size}
    texts = {number: tokenizer.convert_tokens_to_string([token]).strip() for number, token in sorted(tokens.items())}
    special = set(tokenizer.all_special_ids)
    return {
        number: text
        for number, text in texts.items()
        if number not in special and text.isalpha() and len(text) >= SHORTEST and not tokens[number].startswith("##")
    }


def _gradients(learner: Learner, examples: Sequence[Example]) -> Iterator[torch.Tensor]:
    """Yield, for each class, the mean gradient of its log-probability at the filler's embedding, (hidden,)."""
    tokenizer = learner.base.tokenizer
    filler = tokenizer.unk_token_id if tokenizer.mask_token_id is None else tokenizer.mask_token_id
    filled = [Example(np.insert(e.ids, FRONT, filler)[: learner.task.max_length], e.target) for e in examples]
    seen: list[torch.Tensor] = []

    def watch(_: Any, __: Any, states: torch.Tensor) -> torch.Tensor:
        seen.append(states.detach().requires_grad_())
        return seen[-1]

    batch = learner.padded(filled)
    handle = learner.base.network.get_input_embeddings().register_forward_hook(watch)
    try:
        learner.model.eval()
        scores = learner.model(batch.ids, batch.mask).log_softmax(dim=1)
    finally:
        handle.remove()
    for score in scores.sum(dim=0):
        yield torch.autograd.grad(score, seen[0], retain_graph=True)[0][:, FRONT].mean(dim=0)
