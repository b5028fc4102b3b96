"""Instruction tuning: a causal language model with its own chat template, trained on the response alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import nn

from shared.adapters.peft import attach_adapter, base_alone, restore_peft, save_peft
from shared.config.run import RunConfig
from shared.metrics.bootstrap import Interval, Sums, perplexity
from shared.models.load import Kind, LoadedModel
from shared.records.types import Record
from shared.tasks.base import Batch, Example, Outcome
from shared.tasks.likelihood import token_losses


class Instruction:
    """Instructions to free-text responses."""

    kind: Kind = "causal"

    def __init__(self, config: RunConfig, base: LoadedModel) -> None:
        self.adapter = config.adapter
        self.max_length = config.model.max_length
        self.system = config.task.system
        self.tokenizer = base.tokenizer

    def build(self, base: LoadedModel, seed: int) -> nn.Module:
        """The language model with its adapter."""
        return attach_adapter(base, self.adapter, seed)

    def prompt(self, instruction: str) -> str:
        """The chat template up to where the response begins."""
        messages = [{"role": "system", "content": self.system}] if self.system else []
        messages.append({"role": "user", "content": instruction})
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def encode(self, records: Sequence[Record]) -> list[Example]:
        """Prompt and response with its end token, cut to the length; the mask is true on the response.

        A prompt that alone fills the length is cut at its end, so that at least a quarter is left to the response.
        """
        longest_prompt = self.max_length - self.max_length // 4
        examples = []
        for record in records:
            prompt = self._ids(self.prompt(record.fields["instruction"]))[:longest_prompt]
            response = [*self._ids(record.fields["response"]), self.tokenizer.eos_token_id]
            ids = np.asarray((prompt + response)[: self.max_length], dtype=np.int64)
            examples.append(Example(ids, np.arange(len(ids)) >= len(prompt)))
        return examples

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def losses(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean negative log-likelihood of each record's own response tokens, (B,).

        The mean is over the record's tokens, never over the batch's: that would couple records and void the bound on
        one record's gradient.
        """
        total, tokens = self._likelihood(model, batch)
        return total / tokens.clamp(min=1)

    def training_losses(self, model: nn.Module, batch: Batch, distillation: float) -> torch.Tensor:
        """The same plus the mean KL divergence, base to tuned, over each record's own response tokens, in nats."""
        if not distillation:
            return self.losses(model, batch)
        with torch.no_grad(), base_alone(model):
            head, states, _, _ = self._responses(model, batch)
            taught = head(states).float().log_softmax(dim=1)  # (response tokens, vocabulary)
        head, states, rows, targets = self._responses(model, batch)
        said = head(states).float().log_softmax(dim=1)
        losses = F.nll_loss(said, targets, reduction="none")
        losses = losses + distillation * F.kl_div(said, taught, reduction="none", log_target=True).sum(dim=1)
        return _by_record(losses, rows, batch) / batch.targets[:, 1:].sum(dim=1).clamp(min=1)

    def _likelihood(self, model: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Summed negative log-likelihood and number of response tokens of each record, both (B,)."""
        head, states, rows, targets = self._responses(model, batch)
        return _by_record(_losses(head, states, targets), rows, batch), batch.targets[:, 1:].sum(dim=1)

    def _responses(self, model: nn.Module, batch: Batch) -> tuple[nn.Module, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The vocabulary projection, the states that predict response tokens, (N, H), and these tokens' records and ids.

        The projection runs there alone: its output is the largest tensor of the step.
        """
        assert isinstance(model, PeftModel)  # noqa: S101  what build() made
        network: Any = model.get_base_model()
        states = network.model(
            input_ids=batch.ids, attention_mask=batch.mask, use_cache=False
        ).last_hidden_state  # (B, T, H)
        rows, places = batch.targets[:, 1:].nonzero(as_tuple=True)  # position t predicts token t + 1
        return network.lm_head, states[rows, places], rows, batch.ids[rows, places + 1]

    def outcome(self, model: nn.Module, batch: Batch) -> Outcome:
        """Summed negative log-likelihood and number of response tokens of each record."""
        total, tokens = self._likelihood(model, batch)
        return Outcome(total.double().cpu().numpy(), tokens.double().cpu().numpy())

    def metrics(self, outcome: Outcome, resamples: int, confidence: float, seed: int) -> Mapping[str, Interval]:
        """Perplexity of the held-out responses, over all their tokens."""
        return {"perplexity": self.chief(outcome).interval(resamples, confidence, seed)}

    def chief(self, outcome: Outcome) -> Sums:
        """Perplexity."""
        return perplexity(outcome.first, outcome.second)

    def save(self, model: nn.Module, folder: Path) -> None:
        """PEFT's files."""
        assert isinstance(model, PeftModel)  # noqa: S101  what build() made
        save_peft(model, folder)

    def restore(self, model: nn.Module, folder: Path) -> None:
        """Set the adapter from a saved folder."""
        assert isinstance(model, PeftModel)  # noqa: S101  what build() made
        restore_peft(model, folder)

    def generate(self, model: nn.Module, instruction: str, max_new_tokens: int) -> str:
        """The model's greedy response to one instruction."""
        return self._continued(model, [self._ids(self.prompt(instruction))], max_new_tokens)[0]

    def replies(self, model: nn.Module, instructions: Sequence[str], max_new_tokens: int) -> list[str]:
        """The same for many instructions."""
        return self._all_continued(model, [self._ids(self.prompt(text)) for text in instructions], max_new_tokens)

    def answers(self, model: nn.Module, examples: Sequence[Example], max_new_tokens: int) -> list[str]:
        """The model's greedy response to each example's prompt, as far as it was encoded."""
        prompts = [example.ids[~np.asarray(example.target)].tolist() for example in examples]
        return self._all_continued(model, prompts, max_new_tokens)

    def _all_continued(
        self, model: nn.Module, prompts: Sequence[Sequence[int]], max_new_tokens: int, at_once: int = 16
    ) -> list[str]:
        """What the model says after each prompt, ``at_once`` prompts of similar length a batch."""
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
        given: dict[int, str] = {}
        for start in range(0, len(order), at_once):
            places = order[start : start + at_once]
            texts = self._continued(model, [prompts[place] for place in places], max_new_tokens)
            given |= dict(zip(places, texts, strict=True))
        return [given[place] for place in range(len(prompts))]

    def reference(self, example: Example) -> str:
        """The example's own response, as far as it was encoded."""
        return str(self.tokenizer.decode(example.ids[np.asarray(example.target)], skip_special_tokens=True)).strip()

    def _continued(self, model: nn.Module, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
        """What the model says after each prompt; shorter prompts are padded on the left, where attention is masked."""
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


def _losses(head: nn.Module, states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of each target, (N,), through the vocabulary projection."""
    if type(head) is nn.Linear and head.bias is None and not head.weight.requires_grad:
        return token_losses(states, head.weight, targets)
    return F.cross_entropy(head(states).float(), targets, reduction="none")  # one that is adapted, say


def _by_record(losses: torch.Tensor, rows: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Each record's sum of its response tokens' losses, (B,), from these and their records, both (N,)."""
    return torch.zeros(len(batch.ids), device=losses.device).index_add(0, rows, losses)
