"""Refuse a base model whose tokenizer or positions do not fit, from its shapes alone, before any record is read."""

from pathlib import Path
from typing import Any

from torch import nn

from shared.config.model import ModelSection
from shared.errors import ModelError

VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model", "tekken.json")  # files that hold a tokenizer's vocabulary
OTHER_MEDIA = ("image", "audio", "video", "boi", "eoi")  # names of tokens for inputs that are not text


def refuse_unfit(section: ModelSection, network: Any, tokenizer: Any, folder: Path) -> None:
    """Refuse a model without a tokenizer of its own, with tokens beyond its embeddings, or with too few positions.

    Parameters
    ----------
    section
        Configuration of the base model.
    network, tokenizer
        The model in memory, or only its shapes, and its tokenizer.
    folder
        The folder that both were read from.

    Raises
    ------
    ModelError
        The model cannot read records of ``model.max_length`` tokens.
    """
    _refuse_no_vocabulary(section.name, tokenizer, folder)
    rows = int(network.get_input_embeddings().weight.shape[0])
    beyond = sorted(
        token for token, number in tokenizer.get_vocab().items() if number >= rows and not _other(tokenizer, token)
    )
    if beyond:
        raise ModelError(
            f"{section.name}: its tokenizer has {len(beyond)} tokens that the model's {rows} embeddings lack (such as "
            f"{beyond[0]!r}); use the tokenizer that the model was saved with, or resize its embeddings and save both"
        )
    limit = positions(network)
    if limit is not None and section.max_length > limit:
        raise ModelError(
            f"model.max_length = {section.max_length}: {section.name} has positions for {limit} tokens; set {limit} or less"
        )


def positions(network: Any) -> int | None:
    """Return how many tokens a model can place; None if it has no limit of its own.

    A table of learnt positions may have less room than the config says: RoBERTa starts to count after its padding id.
    """
    text = network.config.get_text_config()
    declared = getattr(text, "max_position_embeddings", None)
    limits = [declared] if isinstance(declared, int) and declared > 0 else []
    for name, table in network.named_modules():
        if isinstance(table, nn.Embedding) and name.rsplit(".", 1)[-1] in ("position_embeddings", "embed_positions", "wpe"):
            skipped = table.padding_idx + 1 if table.padding_idx is not None else getattr(table, "offset", 0)
            limits.append(table.num_embeddings - skipped)
    return min(limits, default=None)


def within_embeddings(network: Any, ids: list[int]) -> list[int]:
    """Return token ids without those that stand for pictures or sound, for which a model of text has no embedding."""
    rows = int(network.get_input_embeddings().weight.shape[0])
    return [number for number in ids if number < rows]


def _refuse_no_vocabulary(name: str, tokenizer: Any, folder: Path) -> None:
    """Refuse an invented tokenizer: if a folder has none, transformers makes one up without a warning."""
    own = set(getattr(tokenizer, "vocab_files_names", {}).values())
    present = any(next(folder.glob(pattern), None) for pattern in (*VOCABULARIES, *own))
    if (own and not present) or len(tokenizer) <= len(tokenizer.all_special_ids):
        raise ModelError(
            f"{name}: this folder has no tokenizer ({folder} holds no vocabulary); save the model's own tokenizer there "
            "with save_pretrained"
        )


def _other(tokenizer: Any, token: str) -> bool:
    """Return whether a token stands for a picture or sound: models of text (Gemma 3 1B) keep those of their family."""
    named = tokenizer.special_tokens_map.items()
    return any(value == token and name.startswith(OTHER_MEDIA) for name, value in named)
