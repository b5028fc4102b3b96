"""Token attributions by integrated gradients (Sundararajan, Taly and Yan 2017, arXiv 1703.01365), and attention.

The attributions of a text's tokens add up to what the text as a whole adds to the output, over the same text with each
token of it replaced by a filler. How nearly they do is checked, with ever more steps until the gap is within 5 %.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from shared.tasks.base import Learner
from shared.tasks.classification import Classification, MeanPoolingClassifier
from shared.tasks.instruction import Instruction

TOLERANCE = 0.05  # of the difference of the outputs
STEPS = (32, 64, 128, 256, 512, 1024)
SMALLEST_NORM = 0.1  # of a filler's embedding, in median norms
AT_ONCE = 16  # interpolated texts in memory at the same time
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """A text as the model reads it: ids (T,), which of them are the text's own (T,), and the output to explain."""

    ids: torch.Tensor
    own: torch.Tensor
    output: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = field(repr=False)
    answer: str
    measure: str


@dataclass(frozen=True)
class Explanation:
    """What each token (T,) added to the output, how far that adds up, and where each layer's attention went, (L, T).

    ``attention`` is the attention that a token receives, averaged over the heads and the tokens that look.
    """

    tokens: tuple[str, ...] = field(repr=False)
    own: tuple[bool, ...]
    answer: str
    measure: str
    output: float
    baseline: float
    attributions: Floats = field(repr=False)
    attention: Floats = field(repr=False)
    steps: int

    @property
    def error(self) -> float:
        """How far the attributions' sum is from the difference of the outputs, as a share of it."""
        difference = self.output - self.baseline
        return abs(float(self.attributions.sum()) - difference) / max(abs(difference), 1e-9)

    @property
    def complete(self) -> bool:
        """Whether they add up within the tolerance."""
        return self.error <= TOLERANCE


def explain(learner: Learner, text: str, max_new_tokens: int, steps: tuple[int, ...] = STEPS) -> Explanation:
    """Explain the model's own answer to a text: the label's logit, or the log-likelihood of its greedy response."""
    learner.model.eval()
    reading = _read(learner, text, max_new_tokens)
    ids = reading.ids[None]
    empty = torch.where(reading.own[None], _filler(learner), ids)
    with torch.no_grad():
        mask = torch.ones_like(ids)
        output, baseline = (float(reading.output(each, mask)[0]) for each in (ids, empty))
    for number in steps:
        found = _explanation(learner, reading, _integrated(learner, reading, empty, number), output, baseline, number)
        if found.complete:
            break
    return found


def _filler(learner: Learner) -> int:
    """The token that stands for nothing: padding, or another special token where padding has no embedding to speak of.

    From an embedding of 0 a normalisation over its norm would jump, and no number of steps would follow it.
    """
    tokenizer = learner.base.tokenizer
    norms = _encoder(learner.model).get_input_embeddings().weight.detach().float().norm(dim=1)
    special = (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id, tokenizer.eos_token_id)
    known = [token for token in special if token is not None]
    usable = [token for token in known if norms[token] > SMALLEST_NORM * norms.median()]
    return int([*usable, *known, 0][0])


def _read(learner: Learner, text: str, max_new_tokens: int) -> Reading:
    task, model, device = learner.task, learner.model, learner.base.device
    if isinstance(task, Classification):
        given = learner.base.tokenizer(text, truncation=True, max_length=task.max_length, return_special_tokens_mask=True)
        ids = torch.tensor(given["input_ids"], device=device)
        with torch.no_grad():
            label = int(model(ids[None], torch.ones_like(ids[None]))[0].argmax())
        own = ~torch.tensor(given["special_tokens_mask"], dtype=torch.bool, device=device)
        return Reading(ids, own, lambda rows, mask: model(rows, mask)[:, label], task.labels[label], "logit of the label")
    assert isinstance(task, Instruction)  # noqa: S101  the only other task
    return _read_instruction(learner, task, text, max_new_tokens)


def _read_instruction(learner: Learner, task: Instruction, text: str, max_new_tokens: int) -> Reading:
    """The prompt with the model's own response after it; the response stays in the baseline, the prompt goes."""
    model: Any = learner.model
    answer = task.generate(model, text, max_new_tokens)
    encode = learner.base.tokenizer
    prompt, response = (encode(part, add_special_tokens=False)["input_ids"] for part in (task.prompt(text), answer))
    response = response or [encode.eos_token_id]
    ids = torch.tensor([*prompt, *response], device=learner.base.device)
    own = torch.arange(len(ids), device=ids.device) < len(prompt)

    def likelihood(rows: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        said = model(input_ids=rows, attention_mask=mask, use_cache=False).logits.float().log_softmax(dim=2)
        following = said[:, len(prompt) - 1 : -1].gather(2, rows[:, len(prompt) :, None])
        return following.sum(dim=(1, 2))  # type: ignore[no-any-return]

    return Reading(ids, own, likelihood, answer, "log-likelihood of the response")


def _integrated(learner: Learner, reading: Reading, empty: torch.Tensor, steps: int) -> Floats:
    """The attribution of each token, (T,), at the input embeddings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch, at captum's own import
        from captum.attr import LayerIntegratedGradients

    method = LayerIntegratedGradients(reading.output, _encoder(learner.model).get_input_embeddings())
    ids = reading.ids[None]
    found = method.attribute(
        ids, empty, additional_forward_args=torch.ones_like(ids), n_steps=steps, internal_batch_size=AT_ONCE
    )
    return np.asarray(found.sum(dim=2)[0].detach().double().cpu().numpy())


def _explanation(
    learner: Learner, reading: Reading, attributions: Floats, output: float, baseline: float, steps: int
) -> Explanation:
    ids, tokenizer = reading.ids, learner.base.tokenizer
    tokens = tuple(str(tokenizer.decode([token])).removeprefix("##") for token in ids.tolist())
    return Explanation(
        tokens,
        tuple(reading.own.tolist()),
        reading.answer,
        reading.measure,
        output,
        baseline,
        attributions,
        _attention(learner, ids),
        steps,
    )


def _attention(learner: Learner, ids: torch.Tensor) -> Floats:
    """The attention that each token receives in each layer, (L, T); each row adds up to 1."""
    learner.base.network.set_attn_implementation("eager")  # other kernels do not tell it
    with torch.no_grad():
        encoder = _encoder(learner.model)
        maps = encoder(input_ids=ids[None], attention_mask=torch.ones_like(ids[None]), output_attentions=True).attentions
    return np.stack([layer[0].double().mean(dim=(0, 1)).cpu().numpy() for layer in maps])


def _encoder(model: nn.Module) -> Any:
    return model.encoder if isinstance(model, MeanPoolingClassifier) else model
