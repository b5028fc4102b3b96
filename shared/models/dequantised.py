"""Keep a float32 copy of a GGUF model in the cache, because transformers cannot save a model that it read from GGUF."""

import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from shared.errors import ModelError
from shared.models.folders import ModelFiles
from shared.models.library import quiet
from shared.models.wheels import digest_of_rest

DIGITS = 16  # digits of the copy's digest at the end of its folder's name


def dequantised(files: ModelFiles) -> Path:
    """Return the folder of a float32 safetensors copy of a GGUF model; make the copy on first use, and refuse a changed one.

    The copy has a folder of its own next to the model's, to which no file may be added.

    Raises
    ------
    ModelError
        A file of the copy was added, removed or changed.
    """
    stem = f"{files.folder.name}-float32-"
    made = next(files.folder.parent.glob(f"{stem}*"), None) or _make(files, stem)
    if digest_of_rest(made, ())[:DIGITS] != made.name.removeprefix(stem):
        raise ModelError(
            f"{files.name}: a file was added, removed or changed in {made}; delete that folder to make the copy again"
        )
    return made


def _make(files: ModelFiles, stem: str) -> Path:
    """Write the copy; it appears complete or not at all, and another process may write the same one at the same time."""
    with quiet():
        network = AutoModelForCausalLM.from_pretrained(files.folder, gguf_file=files.weights[0], dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(files.folder, gguf_file=files.weights[0])
    plain = {k: v for k, v in network.config.to_dict().items() if k != "quantization_config"}
    copy = type(network)(type(network.config)(**plain))
    copy.load_state_dict(network.state_dict())
    with tempfile.TemporaryDirectory(dir=files.folder.parent) as scratch:
        folder = Path(scratch) / "copy"
        copy.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        target = files.folder.with_name(stem + digest_of_rest(folder, ())[:DIGITS])
        try:
            folder.rename(target)
        except OSError:
            if not target.is_dir():  # no other process was first
                raise
    return target
