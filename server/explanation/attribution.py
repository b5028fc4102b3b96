"""Token attributions by integrated gradients (Sundararajan, Taly and Yan 2017, arXiv 1703.01365), and attention.

The attributions of a text's tokens add up to the difference between the output on the text and the output on a baseline, in
which a filler replaces each token. More integration steps are taken until the sum is within 5 % of that difference.
"""

import warnings
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from shared.tasks.base import Learner, Reading

TOLERANCE = 0.05  # tolerated error, as a share of the difference of the outputs
STEPS = (32, 64, 128, 256, 512, 1024)
SMALLEST_NORM = 0.1  # smallest norm of a filler's embedding, in median norms
AT_ONCE = 16  # interpolated texts in memory at the same time
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Explanation:
    """What each token added to the output, (T,), and the attention that each token receives in each layer, (L, T).

    The attention is averaged over the heads and over the tokens that attend. ``own`` says which tokens are the text's own,
    not special tokens or a template's. ``output`` is the ``measure`` of the ``answer`` on the text, and ``baseline`` the
    same on fillers. ``steps`` is the number of integration steps.
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
        """The distance of the attributions' sum from the difference of the outputs, as a share of that difference."""
        difference = self.output - self.baseline
        return abs(float(self.attributions.sum()) - difference) / max(abs(difference), 1e-9)

    @property
    def complete(self) -> bool:
        """Whether the attributions add up within the tolerance."""
        return self.error <= TOLERANCE


def explain(learner: Learner, text: str, max_new_tokens: int, steps: tuple[int, ...] = STEPS) -> Explanation:
    """Explain the model's own answer to a text.

    Parameters
    ----------
    learner
        A finished adapter with its task.
    text
        The text to answer.
    max_new_tokens
        The longest generated answer.
    steps
        Numbers of integration steps to try, in order.

    Raises
    ------
    ConfigError
        The task has no single answer that could be explained.
    """
    learner.model.eval()
    reading = learner.task.reading(learner, text, max_new_tokens)
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
    """Return the filler token: padding, or another special token if the embedding of padding is close to 0.

    A layer norm jumps at an embedding of 0, so the integral would not converge.
    """
    tokenizer = learner.base.tokenizer
    norms = learner.task.encoder(learner.model).get_input_embeddings().weight.detach().float().norm(dim=1)
    special = (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id, tokenizer.eos_token_id)
    known = [token for token in special if token is not None]
    usable = [token for token in known if norms[token] > SMALLEST_NORM * norms.median()]
    return int([*usable, *known, 0][0])


def _integrated(learner: Learner, reading: Reading, empty: torch.Tensor, steps: int) -> Floats:
    """Return the attribution of each token, (T,), at the input embeddings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # raised by torch when captum is imported
        from captum.attr import LayerIntegratedGradients

    method = LayerIntegratedGradients(reading.output, learner.task.encoder(learner.model).get_input_embeddings())
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
    """Return the attention that each token receives in each layer, (L, T); each row adds up to 1."""
    learner.base.network.set_attn_implementation("eager")  # other kernels do not return it
    with torch.no_grad():
        encoder = learner.task.encoder(learner.model)
        maps = encoder(input_ids=ids[None], attention_mask=torch.ones_like(ids[None]), output_attentions=True).attentions
    return np.stack([layer[0].double().mean(dim=(0, 1)).cpu().numpy() for layer in maps])
