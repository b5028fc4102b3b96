"""Load base models, frozen, on the device and in the dtype of a config.

Only safetensors and GGUF weights are read, and remote code never runs.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open
from torch import nn
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForTextEncoding,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from shared.config.model import ModelSection
from shared.errors import ModelError
from shared.models.dequantised import dequantised
from shared.models.fitness import refuse_unfit
from shared.models.folders import WEIGHTS, ModelFiles, locate
from shared.models.library import one_sentence, quiet
from shared.ops.extras import require

Kind = Literal["encoder", "causal"]
WANTED: Mapping[Kind, str] = {"encoder": "an encoder", "causal": "a causal language model"}
OTHERWISE = "check model.name against task.name, or get the whole model again"


@dataclass(frozen=True)
class LoadedModel:
    """A frozen base model in memory, with its tokenizer."""

    files: ModelFiles
    kind: Kind
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    dtype: torch.dtype


def choose_device(name: str) -> torch.device:
    """Return the device that a config names; ``auto`` means cuda if present, else mps, else cpu.

    Parameters
    ----------
    name
        ``auto``, ``cuda``, ``mps`` or ``cpu``.

    Raises
    ------
    ModelError
        This machine does not have the device.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, here in present.items() if here))
    if not present[name]:
        raise ModelError(f"model.device = '{name}': not available on this machine; use 'auto' or 'cpu'")
    return torch.device(name)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype in which the frozen base model computes.

    ``auto`` and ``nf4`` mean bfloat16 if the hardware can multiply in it, else float32. Under ``nf4`` the weights are
    stored in 4 bits and converted to this dtype for computing.

    Parameters
    ----------
    name
        ``auto``, ``float32``, ``bfloat16`` or ``nf4``.
    device
        Where the model computes.
    """
    if name not in ("auto", "nf4"):
        return torch.bfloat16 if name == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu" and _cpu_multiplies_bfloat16():
        return torch.bfloat16
    return torch.float32


def _cpu_multiplies_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def load(section: ModelSection, kind: Kind) -> LoadedModel:
    """Load a base model and its tokenizer on the device and in the dtype of the config; no parameter is trainable.

    Parameters
    ----------
    section
        Configuration of the base model.
    kind
        ``encoder`` for embeddings, ``causal`` for a language model that generates text.

    Raises
    ------
    ModelError
        The model is missing, altered or of another kind.
    """
    files = locate(section)
    device = choose_device(section.device)
    dtype = choose_dtype(section.dtype, device)
    options = _options(section, dtype, device)
    with _opening(section, kind), quiet():
        folder = _readable(files)
        config, tokenizer = _config_and_tokenizer(section, folder)
        network, loading = _class_for(kind, config).from_pretrained(
            folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **options
        )
    absent = sorted(name for name in loading["missing_keys"] if "pooler" not in name)  # a pooler is not used
    if absent:
        raise _lacks(section, kind, absent)
    with _opening(section, kind):  # Perceiver has no table of embeddings
        refuse_unfit(section, network, tokenizer, folder)
    _freeze(network)
    network.config._name_or_path = network.name_or_path = files.reference.split("@")[0]  # what PEFT writes as its base
    torch.nn.Module.to(network, device)
    return LoadedModel(files, kind, network, tokenizer, device, dtype)


def _options(section: ModelSection, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """Choose the attention implementation and, for nf4, 4-bit NormalFloat layers (Dettmers et al. 2023, arXiv 2305.14314).

    Raises
    ------
    ConfigError
        Bitsandbytes, an optional dependency, is not installed.
    """
    # Measured on CPUs: in bfloat16 the backward pass of the flash kernel takes twice the time of a whole eager step; in
    # float32 the two differ by less than a tenth.
    options: dict[str, Any] = {"attn_implementation": "sdpa" if device.type == "cuda" else "eager"}
    if section.dtype != "nf4":
        return options
    require("model.dtype = 'nf4'", "quantised", otherwise="set 'bfloat16'")
    # No double quantisation: it would save 0.4 bits per weight but need one more correctness check.
    four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)  # type: ignore[no-untyped-call]
    return {**options, "quantization_config": four_bits, "device_map": {"": device}}


def outline(section: ModelSection, kind: Kind) -> LoadedModel:
    """Build the base model without weights, on the meta device, to count parameters and memory.

    Raises
    ------
    ModelError
        There is no such model.
    """
    files, device = locate(section), torch.device("meta")
    with _opening(section, kind), quiet():
        folder = _readable(files)
        config, tokenizer = _config_and_tokenizer(section, folder)
        with device:
            network = _class_for(kind, config).from_config(config, attn_implementation="eager", trust_remote_code=False)
        weights = [WEIGHTS] if files.is_gguf else files.weights
        absent = _missing_head(network, [folder / name for name in weights]) if kind == "causal" else []
    if absent:
        raise _lacks(section, kind, absent)
    with _opening(section, kind):
        refuse_unfit(section, network, tokenizer, folder)
    _freeze(network)
    return LoadedModel(files, kind, network, tokenizer, device, choose_dtype(section.dtype, choose_device(section.device)))


def _opening(section: ModelSection, kind: Kind) -> AbstractContextManager[None]:
    return one_sentence(f"{section.name}: cannot be loaded as {WANTED[kind]}", OTHERWISE)


def _config_and_tokenizer(section: ModelSection, folder: Path) -> tuple[Any, Any]:
    """Read a model's config and tokenizer; code that a folder brings along is refused without a question at the terminal."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    _require_sentencepiece(section.name, folder)
    remedy = "save the model's own tokenizer there with save_pretrained"
    with one_sentence(f"{section.name}: its tokenizer cannot be read", remedy):
        return config, AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def _require_sentencepiece(name: str, folder: Path) -> None:
    """Refuse a tokenizer that only the library SentencePiece can read if that library is not installed.

    Raises
    ------
    ConfigError
        SentencePiece, an optional dependency, is not installed.
    """
    if (folder / "tokenizer.json").is_file():
        return
    models = sorted(path.name for path in folder.glob("*.model") if path.name != "tiktoken.model")
    if models:
        require(f"{name}: its tokenizer {models[0]}", "sentencepiece", "save the tokenizer as tokenizer.json")


def _class_for(kind: Kind, config: Any) -> Any:
    """Return the class of transformers that builds a model; a text encoder leaves out the decoder that T5 has."""
    if kind == "causal":
        return AutoModelForCausalLM
    return AutoModelForTextEncoding if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING else AutoModel


def _freeze(network: PreTrainedModel) -> None:
    """Let no parameter be trained, and draw nothing at random: dropout masks of a frozen model cost a quarter of a step."""
    network.requires_grad_(False)
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
        for name, value in list(vars(layer).items()):
            if isinstance(value, float) and ("drop" in name or "jitter" in name):
                setattr(layer, name, 0.0)


def _missing_head(network: PreTrainedModel, weights: Sequence[Path]) -> list[str]:
    """Return the tensors above a model's layers if the files have nothing above them: it is a model without a head.

    The names are not compared, because a file may have older names, which transformers translates when it loads.
    """
    inside, tied = f"{network.base_model_prefix}.", network.all_tied_weights_keys
    head = {name for name in network.state_dict() if not name.startswith(inside) and name not in tied}
    below = {name for name, _ in network.base_model.named_children()}
    for path in weights:
        with safe_open(path, "pt") as stream:
            if any(name.removeprefix(inside).split(".")[0] not in below for name in stream.keys()):  # noqa: SIM118  no dict
                return []
    return sorted(head)


def _lacks(section: ModelSection, kind: Kind, absent: Sequence[str]) -> ModelError:
    return ModelError(
        f"{section.name}: cannot be loaded as {WANTED[kind]}: its weights lack {len(absent)} tensors ({absent[0]}); "
        f"{OTHERWISE}"
    )


def _readable(files: ModelFiles) -> Path:
    """Return the folder that transformers reads: the model's own, or of a GGUF file that of its float32 copy."""
    return dequantised(files) if files.is_gguf else files.folder
