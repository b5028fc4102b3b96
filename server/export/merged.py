"""Merge the adapter into the base model, in float32, in the layout that transformers loads without PEFT."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import PeftModel
from safetensors.torch import save_file

from server.export.hub_folder import page
from shared.config.run import RunConfig
from shared.models.library import quiet
from shared.tasks.base import Learner
from shared.tasks.head import HEAD_FILE, HeadedEncoder


def merged(learner: Learner) -> Any:
    """Return the transformer with the adapter merged into its weights; the learner must not be used afterwards."""
    model: Any = learner.model.encoder if isinstance(learner.model, HeadedEncoder) else learner.model
    network: Any = model.merge_and_unload() if isinstance(model, PeftModel) else model
    generation = getattr(network, "generation_config", None)
    if generation is not None:  # responses end with this token in training
        own = generation.eos_token_id
        ends = own if isinstance(own, list) else [own]
        generation.eos_token_id = sorted(
            {token for token in (*ends, learner.base.tokenizer.eos_token_id) if token is not None}
        )
    return network


def write_merged(config: RunConfig, learner: Learner, card: Mapping[str, Any], folder: Path) -> None:
    """Write the merged model and its tokenizer; a head lies next to them as ``head.safetensors``.

    Parameters
    ----------
    config
        The run's config.
    learner
        The tuned model.
    card
        The run's privacy card.
    folder
        An empty folder.
    """
    if isinstance(learner.model, HeadedEncoder):
        head = {name: value.detach().cpu().contiguous() for name, value in learner.model.head.named_parameters()}
        save_file(head, folder / HEAD_FILE)
    with quiet():
        merged(learner).save_pretrained(folder)
        learner.base.tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(page(card, "transformers"), encoding="utf-8")
