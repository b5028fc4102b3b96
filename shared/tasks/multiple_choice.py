"""Score multiple-choice questions: the likelihood that a language model gives to each of several answers."""

import copy
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from peft import PeftModel
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache

from shared.models.projection import logits_of, transformer_of
from shared.tasks.base import Learner
from shared.tasks.examples import Example


def choice_losses(learner: Learner, examples: Sequence[Example], choices: int) -> npt.NDArray[np.float64]:
    """Return the negative log-likelihood of each response, (questions, choices), in nats.

    The common prefix of all questions is computed only once, and each question only once for all its choices (key-value
    cache).

    Parameters
    ----------
    learner
        A language model with an instruction task.
    examples
        The questions with their responses; each ``choices`` consecutive examples have the same question.
    choices
        The number of responses to each question.
    """
    questions = [example.ids[~np.asarray(example.target, dtype=np.bool_)] for example in examples[::choices]]
    responses = [example.ids[np.asarray(example.target, dtype=np.bool_)] for example in examples]
    network: Any = cast(PeftModel, learner.model).get_base_model()
    losses = np.zeros((len(questions), choices))
    network.eval()
    with torch.no_grad():
        common, shared = _shared_length(questions), DynamicCache()
        if common:
            transformer_of(network)(input_ids=_row(questions[0][:common], network), past_key_values=shared)
        for place, question in enumerate(questions):
            cache = copy.deepcopy(shared)
            read = transformer_of(network)(
                input_ids=_row(question[common:], network), past_key_values=cache
            ).last_hidden_state
            cache.batch_repeat_interleave(choices)
            said = responses[place * choices : (place + 1) * choices]
            losses[place] = _continued(network, cache, read[:, -1:].expand(choices, -1, -1), said)
    return losses


def _shared_length(questions: Sequence[npt.NDArray[np.int64]]) -> int:
    """Return the length of the common prefix of all questions in tokens; it leaves at least one token of each question."""
    shortest = min(len(question) for question in questions) - 1
    alike = np.all([question[:shortest] == questions[0][:shortest] for question in questions], axis=0)
    return shortest if alike.all() else int(alike.argmin())


def _row(ids: npt.NDArray[np.int64], network: Any) -> torch.Tensor:
    return torch.as_tensor(ids, device=network.device)[None]


def _continued(
    network: Any, cache: DynamicCache, state: torch.Tensor, said: Sequence[npt.NDArray[np.int64]]
) -> npt.NDArray[np.float64]:
    """Return the negative log-likelihood of each continuation, (B,); ``state`` (B, 1, H) is the last state in ``cache``."""
    ids = pad_sequence([_row(each, network)[0] for each in said], batch_first=True)  # (B, T)
    real = pad_sequence([torch.ones(len(each), device=ids.device) for each in said], batch_first=True)
    before = torch.ones(len(said), cache.get_seq_length(), device=ids.device)
    read = transformer_of(network)(
        input_ids=ids[:, :-1], attention_mask=torch.cat([before, real[:, :-1]], dim=1), past_key_values=cache
    )
    states = torch.cat([state, read.last_hidden_state], dim=1)
    scores = logits_of(network, read, states).float()  # (B, T, vocabulary)
    losses = F.cross_entropy(scores.transpose(1, 2), ids, reduction="none") * real
    summed: npt.NDArray[np.float64] = losses.sum(dim=1).double().cpu().numpy()
    return summed
