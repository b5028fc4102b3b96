"""Write scrubbed texts in other words with a causal language model of the site.

Each text has a batch of its own, so its wordings depend only on that text, the run's seed and the model, to the last bit. In
a batch with other texts, rounding would depend on those texts, and adding one record could change the views of another.
"""

import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from shared.config.model import ModelSection
from shared.config.run import RunConfig
from shared.errors import ModelError
from shared.models.catalogue import HUB_ID
from shared.models.library import quiet
from shared.models.load import LoadedModel, load, outline
from shared.seeds import derive

ASKED = (
    "Paraphrase this text. Say the same in other words, keep all facts and all tags such as <PERSON_1>, and write nothing "
    "else. Text: "
)
LONGEST_PROMPT = 1024  # tokens
ROOM = 1.5  # tokens that a wording may have, as a multiple of its text's
DRAWN: dict[str, Any] = {"do_sample": True, "top_k": 40, "temperature": 0.7}


def write(section: ModelSection, texts: Sequence[str], seed: int, count: int) -> Iterator[tuple[str, list[str | None]]]:
    """Yield each text with its wordings; the model is in memory only until the last text is done.

    Parameters
    ----------
    section
        The model that writes, and its device.
    texts
        Different scrubbed texts.
    seed
        The run's seed.
    count
        Wordings of each text: the first is decoded greedily, the others are sampled. A wording that does not end within
        its length limit is None, as are all wordings of a text that is too long for the model.

    Raises
    ------
    ModelError
        The model is missing or cannot write.
    """
    base = _writer(section, load)
    try:
        for text in texts:
            yield text, _wordings(base, text, seed, count)
    finally:
        del base
        gc.collect()
        torch.cuda.empty_cache()


def _wordings(base: LoadedModel, text: str, seed: int, count: int) -> list[str | None]:
    chat = [{"role": "user", "content": ASKED + text}]
    prompt = base.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids, own = (list(base.tokenizer(str(each), add_special_tokens=False)["input_ids"]) for each in (prompt, text))
    room = round(ROOM * len(own)) + 4
    if len(ids) >= min(LONGEST_PROMPT, getattr(base.network.config, "max_position_embeddings", LONGEST_PROMPT) - room):
        return [None] * count
    found = _generated(base, ids, room, do_sample=False)
    if count > 1:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        with torch.random.fork_rng():
            torch.manual_seed(derive(seed, "paraphrase", digest))
            found += _generated(base, ids, room, num_return_sequences=count - 1, **DRAWN)
    return [_ended(base, tokens) for tokens in found]


def _generated(base: LoadedModel, prompt: Sequence[int], room: int, **how: Any) -> list[list[int]]:
    """Return the tokens that the model writes after a prompt, at most ``room`` of them in each row."""
    ids = torch.tensor([prompt], device=base.device)
    pad = base.tokenizer.pad_token_id or base.tokenizer.eos_token_id or 0
    with torch.no_grad(), quiet():
        out = base.network.generate(  # type: ignore[operator]
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=room, pad_token_id=pad, **how
        )
    return [list(row) for row in out[:, len(prompt) :].tolist()]


def _ended(base: LoadedModel, tokens: Sequence[int]) -> str | None:
    """Return the first paragraph of the generated text, or None if the model did not finish it."""
    own: Any = base.network.generation_config.eos_token_id if base.network.generation_config else None
    ends = {base.tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])}
    end = next((at for at, token in enumerate(tokens) if token in ends), None)
    written = str(base.tokenizer.decode(list(tokens[:end]), skip_special_tokens=True)).strip()
    paragraph, more, _ = written.partition("\n\n")
    return None if end is None and not more else paragraph


def writer_section(config: RunConfig) -> ModelSection:
    """Return the model section of the paraphraser: on the device of the run's model, in the paraphraser's own dtype."""
    return ModelSection(name=config.augmentation.paraphraser or "", device=config.model.device)


def refuse_no_writer(config: RunConfig) -> None:
    """Refuse a config with a model that is missing or cannot write; no weight is loaded.

    Parameters
    ----------
    config
        The run's config, with ``augmentation.paraphraser`` as the site sets it.

    Raises
    ------
    ModelError
        The model is missing or cannot write.
    """
    if config.augmentation.paraphrases and config.augmentation.paraphraser is not None:
        _writer(writer_section(config), outline)


def _writer(section: ModelSection, how: Callable[[ModelSection, Any], LoadedModel]) -> LoadedModel:
    """Load the model that writes, or only its outline; refuse a hub model, because it would be downloaded."""
    cause: ModelError | None = None
    try:
        if not HUB_ID.fullmatch(section.name) and (base := how(section, "causal")).tokenizer.chat_template:
            return base
    except ModelError as error:
        cause = error
    raise ModelError(
        f"augmentation.paraphrases: '{section.name}' cannot write them; name a model of the catalogue, or a local folder "
        "with a causal language model and a chat template, as paraphraser in [model] of SITE.toml (of [augmentation] in a "
        "simulation), or leave it out"
    ) from cause
