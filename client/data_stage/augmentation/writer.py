"""A causal language model of the site that writes scrubbed texts in other words; it is held only while it writes.

What is written of a text follows from that text, the run's seed and the model alone, to the last bit, so that adding a
record to a site changes no other record's views. Texts are written in batches all the same: one at a time takes longer. A
batch has a fixed number of rows, and a width that each of its texts has by its own length; which row a text has is drawn
from the text itself, and a row that no text has is filled. So the shapes of all that is computed, and a text's place in
them, are the text's own, and no row of a matrix product or of a softmax reads another. Draws are each text's own too. Were
the rows as many, or as wide, as the records of the moment ask, a rounding could tell which other records there are.
"""

import gc
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import torch
from transformers import LogitsProcessor, StoppingCriteria

from shared.config.model import ModelSection
from shared.config.run import RunConfig
from shared.errors import ModelError
from shared.models.catalogue import HUB_ID
from shared.models.load import LoadedModel, load, outline, quiet
from shared.seeds import derive, stream

ROWS = 16  # of a batch
WIDTHS = (64, 128, 256, 512, 1024)  # tokens of a padded prompt
ASKED = (
    "Paraphrase this text. Say the same in other words, keep all facts and all tags such as <PERSON_1>, and write nothing "
    "else. Text: "
)
ROOM = 1.5  # tokens that a wording may have, of its text's own
LIKELIEST = 40  # tokens that a drawn one is among
TEMPERATURE = 0.7


@dataclass(frozen=True)
class Row:
    """A wording that is to be written: its text, its prompt (tokens), and the most tokens that it may have."""

    text: str = field(repr=False)
    place: int
    prompt: Sequence[int] = field(repr=False)
    room: int
    slot: int
    seed: int


class Writer:
    """Writes texts in other words with one model; a ``with`` block gives its memory back at the end."""

    def __init__(self, base: LoadedModel, seed: int, count: int) -> None:
        self._base: LoadedModel | None = base
        self._seed, self._count = seed, count
        own: Any = base.network.generation_config.eos_token_id if base.network.generation_config else None
        self._ends = {base.tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])}

    @classmethod
    def open(cls, section: ModelSection, seed: int, count: int) -> Self:
        """Load the model; ``count`` wordings of each text will be written.

        Raises:
            ModelError: the model is missing, or cannot write.
        """
        if HUB_ID.match(section.name):
            raise no_writer(section)
        try:
            return cls(load(section, "causal"), seed, count)
        except ModelError as error:
            raise no_writer(section) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._base = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def write(self, texts: Sequence[str]) -> Iterator[tuple[str, list[str | None]]]:
        """Each different text with its wordings, as they are done; None for one that came to no end in its room.

        The first wording takes the likeliest token each time, the others are drawn among the likeliest.
        """
        waiting: dict[str, dict[int, str | None]] = {text: {} for text in texts}
        rows = [row for text in waiting for row in self._rows(text)]
        fitting = {row.text for row in rows}
        for text in [text for text in waiting if text not in fitting]:
            yield text, [None] * self._count
        for width, batch in batches(rows):
            for row, written in zip(batch, self._written(width, batch), strict=True):
                if row is None:
                    continue
                waiting[row.text][row.place] = written
                if len(waiting[row.text]) == self._count:
                    done = waiting.pop(row.text)
                    yield row.text, [done[place] for place in range(self._count)]

    def _rows(self, text: str) -> Iterator[Row]:
        """The rows of a text; none where it is too long for the model or for us."""
        base = self._loaded
        chat = [{"role": "user", "content": ASKED + text}]
        prompt = str(base.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
        ids, own = (list(base.tokenizer(each, add_special_tokens=False)["input_ids"]) for each in (prompt, text))
        room = round(ROOM * len(own)) + 4
        longest = min(WIDTHS[-1], getattr(base.network.config, "max_position_embeddings", WIDTHS[-1]) - room)
        if len(ids) >= longest:
            return
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        for place in range(self._count):
            slot, seed = (derive(self._seed, what, digest, place) for what in ("paraphrase row", "paraphrase"))
            yield Row(text, place, ids, room, slot % ROWS, seed)

    def _written(self, width: int, batch: "Sequence[Row | None]") -> list[str | None]:
        """What the model writes in each row of a batch; None for a row that has no end."""
        base = self._loaded
        pad = base.tokenizer.pad_token_id or base.tokenizer.eos_token_id or 0
        prompts = [row.prompt if row else [pad] for row in batch]
        ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        with torch.no_grad(), quiet():
            out = base.network.generate(  # type: ignore[operator]
                input_ids=ids.to(base.device),
                attention_mask=mask.to(base.device),
                max_new_tokens=round(ROOM * width) + 4,
                do_sample=False,
                pad_token_id=pad,
                logits_processor=[Draw(batch)],
                stopping_criteria=[Full(width, batch)],
            )
        written = out[:, width:].tolist()
        return [self._ended(row, tokens) if row else None for row, tokens in zip(batch, written, strict=True)]

    def _ended(self, row: Row, tokens: Sequence[int]) -> str | None:
        """The first paragraph of what was written, where it has an end."""
        base = self._loaded
        own = list(tokens[: row.room])
        end = next((at for at, token in enumerate(own) if token in self._ends), None)
        written = str(base.tokenizer.decode(own[:end], skip_special_tokens=True)).strip()
        paragraph, more, _ = written.partition("\n\n")
        return None if end is None and not more else paragraph

    @property
    def _loaded(self) -> LoadedModel:
        assert self._base is not None  # noqa: S101  nothing is written after the with block
        return self._base


class Draw(LogitsProcessor):
    """Makes the argmax after it a draw of each row's own: the Gumbel-max trick, among the likeliest tokens.

    A row of a text's first wording is left as it is.
    """

    def __init__(self, batch: "Sequence[Row | None]") -> None:
        self._own = {at: stream(row.seed, "tokens") for at, row in enumerate(batch) if row and row.place}

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (B, V) with noise on the likeliest of the rows that are drawn."""
        for at, generator in self._own.items():
            best, where = scores[at].topk(min(LIKELIEST, scores.shape[1]))
            gumbel = -torch.from_numpy(generator.exponential(size=len(best))).log()
            scores[at] = float("-inf")
            scores[at, where] = best / TEMPERATURE + gumbel.to(best)
        return scores


class Full(StoppingCriteria):
    """Ends each row when it has as many tokens as its own text leaves it; a row without a text at once."""

    def __init__(self, width: int, batch: "Sequence[Row | None]") -> None:
        self._room = torch.tensor([width + (row.room if row else 1) for row in batch])

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Whether each row is full, (B,)."""
        return (input_ids.shape[1] >= self._room).to(input_ids.device)


def batches(rows: Sequence[Row]) -> "Iterator[tuple[int, list[Row | None]]]":
    """Batches of equal width, with each row in its own slot; slots without one are None."""
    queues: dict[int, list[list[Row]]] = defaultdict(lambda: [[] for _ in range(ROWS)])
    for row in rows:
        width = next(width for width in WIDTHS if width > len(row.prompt))  # at least one token is padding, in every row
        queues[width][row.slot].append(row)
    for width, slots in sorted(queues.items()):
        for turn in range(max(map(len, slots))):
            yield width, [slot[turn] if turn < len(slot) else None for slot in slots]


def writer_section(config: RunConfig) -> ModelSection:
    """How the model that writes is loaded: on the device of the run's model, whose own precision is not asked of it."""
    return ModelSection(name=config.augmentation.paraphraser or "", device=config.model.device)


def refuse_no_writer(config: RunConfig) -> None:
    """Refuse a config whose sites name a model that is not there or cannot write; no weight is loaded.

    Raises:
        ModelError: that.
    """
    if not config.augmentation.paraphrases or config.augmentation.paraphraser is None:
        return
    section = writer_section(config)
    if HUB_ID.match(section.name):  # it would be fetched
        raise no_writer(section)
    try:
        tokenizer = outline(section, "causal").tokenizer
    except ModelError as error:
        raise no_writer(section) from error
    if not tokenizer.chat_template:
        raise no_writer(section)


def no_writer(section: ModelSection) -> ModelError:
    """What is said of a model that is not there or cannot write."""
    return ModelError(
        f"augmentation.paraphrases: '{section.name}' cannot write them; name a model of the catalogue, or a local folder "
        "with a causal language model and a chat template, as paraphraser in [model] of SITE.toml (of [augmentation] in a "
        "simulation), or leave it out"
    )
