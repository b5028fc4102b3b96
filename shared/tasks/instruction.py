"""Define the task instruction: a causal language model with its own chat template, trained on responses only."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import nn

from shared.adapters.peft import attach_adapter, base_only, restore_peft, save_peft
from shared.config.run import RunConfig
from shared.errors import ModelError
from shared.metrics.bootstrap import Floats, Sums, perplexity
from shared.models.fitness import within_embeddings
from shared.models.library import one_sentence
from shared.models.load import Kind, LoadedModel
from shared.records.types import Record
from shared.tasks.base import Learner, Reading, Task, Writer
from shared.tasks.examples import Batch, Example
from shared.tasks.likelihood import ROWS, Responses
from shared.tasks.outcome import Outcome

AT_ONCE = 16  # prompts of a batch that are answered together
QUESTION = "Which way is it?"  # a made-up text that a chat template must show


@dataclass(frozen=True, kw_only=True)
class ResponseOutcome(Outcome):
    """Summed negative log-likelihood of each record's response, in nats, and its number of tokens, both (N,)."""

    losses: Floats = field(repr=False)
    tokens: Floats = field(repr=False)

    def primary(self) -> Sums:
        """Return perplexity, over the tokens of all responses."""
        return perplexity(self.losses, self.tokens)

    def damage(self) -> Floats:
        """Return the mean loss of each response's tokens."""
        return np.asarray(self.losses / np.maximum(self.tokens, 1))


class Instruction(Task):
    """Learn to answer instructions with free text."""

    kind: ClassVar[Kind] = "causal"
    outcome_type = ResponseOutcome
    baselines = ("untouched",)
    probes = frozenset({"robustness", "swaps", "groups", "forgetting"})

    def __init__(self, config: RunConfig, base: LoadedModel) -> None:
        self.adapter = config.adapter
        self.max_length = config.model.max_length
        self.system = config.task.system
        self.tokenizer = base.tokenizer
        self.network = base.network
        self.longest_prompt = self.max_length - self.max_length // 4
        with one_sentence(f"{base.files.name}: its chat template cannot be used", "use a chat model"):
            self._refuse_other_template(base.files.name)

    def build(self, base: LoadedModel, seed: int) -> nn.Module:
        """Return the language model with its adapter."""
        return attach_adapter(base, self.adapter, seed)

    def prompt(self, instruction: str) -> str:
        """Return the chat template filled with an instruction, up to the start of the response."""
        return self._rendered([{"role": "user", "content": instruction}])

    def _rendered(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return the chat template filled with a conversation; the run's own system text comes first."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        chat: Any = [*system, *map(dict, messages)]
        return str(self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))

    def _refuse_other_template(self, name: str) -> None:
        """Refuse a chat template that refuses or drops the system text, drops the question, or leaves no room for it."""
        if not self.tokenizer.chat_template:
            raise ModelError(f"{name}: its tokenizer has no chat template, which task 'instruction' needs; use a chat model")
        if self.tokenizer.eos_token_id is None:
            raise ModelError(
                f"{name}: its tokenizer has no end token (eos_token), so no response would end; use a chat model"
            )
        if self.system:
            remedy = "leave task.system empty, or use a model whose template has a system role"
            with one_sentence(f"task.system: the chat template of {name} refuses a system text", remedy):
                shown = self.prompt(QUESTION)
            if self.system.strip() not in shown:
                raise ModelError(f"task.system: the chat template of {name} leaves the system text out; {remedy}")
        if QUESTION not in self.prompt(QUESTION):
            raise ModelError(f"{name}: its chat template leaves the user's text out; use a chat model")
        taken = len(self._ids(self.prompt("")))
        if taken >= self.longest_prompt:
            raise ModelError(
                f"model.max_length = {self.max_length}: the chat template and task.system alone take {taken} tokens of the "
                f"{self.longest_prompt} that a prompt may have; raise it, or shorten task.system"
            )

    def _prompt_ids(self, instruction: str) -> list[int]:
        """Return the prompt of an instruction, whose end is cut off until the prompt fits.

        Only the user's text is cut: the end of the turn and the mark of the assistant stay, so a model that generates is
        asked as it was in training.
        """

        def length(kept: int) -> int:
            return len(self._ids(self.prompt(instruction[:kept])))

        whole = self._ids(self.prompt(instruction))
        if len(whole) <= self.longest_prompt:
            return whole
        kept = bisect_right(range(len(instruction)), self.longest_prompt, key=length) - 1
        return self._ids(self.prompt(instruction[:kept]))

    def encode(self, records: Sequence[Record]) -> list[Example]:
        """Return prompt and response with its end token, cut to the length; the target marks the response.

        At least a quarter of the length is left for the response.
        """
        examples = []
        for record in records:
            prompt = self._prompt_ids(record.fields["instruction"])
            response = [*self._ids(record.fields["response"]), self.tokenizer.eos_token_id]
            ids = np.asarray((prompt + response)[: self.max_length], dtype=np.int64)
            examples.append(Example(ids, np.arange(len(ids)) >= len(prompt)))
        return examples

    def _ids(self, text: str) -> list[int]:
        return within_embeddings(self.network, list(self.tokenizer(text, add_special_tokens=False)["input_ids"]))

    def losses(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the mean negative log-likelihood of each record's own response tokens, (B,).

        A mean over the batch's tokens would couple records and void the bound on one record's gradient.
        """
        total, tokens = self._likelihood(model, batch)
        return total / tokens.clamp(min=1)

    def training_losses(self, model: nn.Module, batch: Batch, distillation: float) -> torch.Tensor:
        """Return the losses plus the mean KL divergence, base to tuned, over each record's own response tokens, in nats."""
        if not distillation:
            return self.losses(model, batch)
        with torch.no_grad(), base_only(model):
            taught = _responses(model, batch).logits().log_softmax(dim=1)  # (response tokens, vocabulary)
        responses = _responses(model, batch)
        said = responses.logits().log_softmax(dim=1)
        losses = F.nll_loss(said, responses.targets, reduction="none")
        losses = losses + distillation * F.kl_div(said, taught, reduction="none", log_target=True).sum(dim=1)
        return responses.by_record(losses) / batch.targets[:, 1:].sum(dim=1).clamp(min=1)

    def _likelihood(self, model: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the summed negative log-likelihood and the number of response tokens of each record, both (B,)."""
        responses = _responses(model, batch)
        return responses.by_record(responses.losses()), batch.targets[:, 1:].sum(dim=1)

    def outcome(self, model: nn.Module, batch: Batch) -> ResponseOutcome:
        """Return the summed negative log-likelihood and the number of response tokens of each record."""
        total, tokens = self._likelihood(model, batch)
        return ResponseOutcome(losses=total.double().cpu().numpy(), tokens=tokens.double().cpu().numpy())

    @staticmethod
    def loss_bytes(vocabulary: int) -> int:
        """Return the memory of one block's logits, their log-softmax and the gradients of both, in float32."""
        return 4 * 4 * ROWS * vocabulary

    def whole_text(self, ids: npt.NDArray[np.int64]) -> Example:
        """Return the text as a response without a prompt, so that every token is predicted."""
        return Example(ids, np.ones(len(ids), dtype=np.bool_))

    def reading(self, learner: Learner, text: str, max_new_tokens: int) -> Reading:
        """Return the prompt and the model's own response, to attribute the response's log-likelihood to the prompt."""
        model: Any = learner.model
        answer = self.answer(learner, text, max_new_tokens)
        prompt, response = self._prompt_ids(text), self._ids(answer) or [self.tokenizer.eos_token_id]
        ids = torch.tensor([*prompt, *response], device=learner.base.device)
        own = torch.arange(len(ids), device=ids.device) < len(prompt)

        def likelihood(rows: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            said = model(input_ids=rows, attention_mask=mask, use_cache=False).logits.float().log_softmax(dim=2)
            following = said[:, len(prompt) - 1 : -1].gather(2, rows[:, len(prompt) :, None])
            return following.sum(dim=(1, 2))  # type: ignore[no-any-return]

        return Reading(ids, own, likelihood, answer, "log-likelihood of the response")

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write PEFT's files."""
        assert isinstance(model, PeftModel)  # noqa: S101  what build() made
        save_peft(model, folder)

    def restore(self, model: nn.Module, folder: Path) -> None:
        """Set the adapter from a saved folder."""
        assert isinstance(model, PeftModel)  # noqa: S101  what build() made
        restore_peft(model, folder)

    def answer(self, learner: Learner, text: str, max_new_tokens: int) -> str:
        """Return the model's greedy response to one instruction."""
        return self.replies(learner.model, [text], max_new_tokens)[0]

    @property
    def writer(self) -> Writer:
        """Return the task itself, because its answers are free text."""
        return self

    def replies(self, model: nn.Module, instructions: Sequence[str], max_new_tokens: int) -> list[str]:
        """Return the model's greedy response to each instruction."""
        return self._all_continued(model, [self._prompt_ids(text) for text in instructions], max_new_tokens)

    def converse(self, model: nn.Module, messages: Sequence[Mapping[str, str]], max_new_tokens: int) -> str:
        """Return the model's greedy response to a conversation; a lone question is asked as in training.

        Raises
        ------
        ModelError
            The chat template refuses the conversation.
        """
        if len(messages) == 1:
            return self.replies(model, [messages[0]["content"]], max_new_tokens)[0]
        with one_sentence("messages: the model's chat template refuses this conversation", "send the user's text alone"):
            ids = self._ids(self._rendered(messages))
        return self._all_continued(model, [ids], max_new_tokens)[0]

    def answers(self, model: nn.Module, examples: Sequence[Example], max_new_tokens: int) -> list[str]:
        """Return the model's greedy response to each example's prompt, which may have been cut in encoding."""
        prompts = [example.ids[~np.asarray(example.target, dtype=np.bool_)].tolist() for example in examples]
        return self._all_continued(model, prompts, max_new_tokens)

    def _all_continued(self, model: nn.Module, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
        """Return the continuation of each prompt, computed in batches of prompts of similar length."""
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
        given: dict[int, str] = {}
        for start in range(0, len(order), AT_ONCE):
            places = order[start : start + AT_ONCE]
            texts = self._continued(model, [prompts[place] for place in places], max_new_tokens)
            given |= dict(zip(places, texts, strict=True))
        return [given[place] for place in range(len(prompts))]

    def reference(self, example: Example) -> str:
        """Return the example's own response, without what was cut off in encoding."""
        response = example.ids[np.asarray(example.target, dtype=np.bool_)]
        return str(self.tokenizer.decode(response, skip_special_tokens=True)).strip()

    def _continued(self, model: nn.Module, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
        """Return the continuation of each prompt; shorter prompts are padded on the left, where attention is masked."""
        assert isinstance(model, PeftModel)  # noqa: S101  what build() made
        width, pad = max(map(len, prompts)), self.tokenizer.pad_token_id or self.tokenizer.eos_token_id
        ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=model.device)
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device)
        model.eval()
        with torch.no_grad():
            out = model.generate(  # type: ignore[no-untyped-call]
                input_ids=ids, attention_mask=mask, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=pad
            )
        return [str(self.tokenizer.decode(row, skip_special_tokens=True)).strip() for row in out[:, width:]]


def _responses(model: nn.Module, batch: Batch) -> Responses:
    assert isinstance(model, PeftModel)  # noqa: S101  what build() made
    return Responses.of(model.get_base_model(), batch)
