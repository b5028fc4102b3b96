"""Write the merged model as a GGUF file, for llama.cpp and the programs around it.

A base model that came as GGUF lends the new file its tokenizer and settings; only the values of its tensors change. Any
other model is converted by llama.cpp's own program, where it is installed.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from server.export.hub_folder import page
from server.export.merged import merged, write_merged
from shared.config.run import RunConfig
from shared.errors import ModelError
from shared.tasks.base import Learner

CONVERTER = "convert_hf_to_gguf.py"
FILE = "model.gguf"


def write_gguf(config: RunConfig, learner: Learner, card: Mapping[str, Any], folder: Path) -> None:
    """Write ``model.gguf``, with weights in float16, and the model card.

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

    Raises
    ------
    ModelError
        The model is no language model, or neither way is open for it.
    """
    if learner.base.kind != "causal":
        raise ModelError("--to gguf: only language models have this form, and this run adapts an encoder; use --to merged")
    files = learner.base.files
    if files.is_gguf:
        network = merged(learner)
        tensors = {name: value.detach().float().cpu().numpy() for name, value in network.state_dict().items()}
        refilled(files.folder / files.weights[0], _named(network.config, tensors), folder / FILE)
    else:
        _converted(config, learner, card, folder)
    (folder / "README.md").write_text(page(card, "gguf"), encoding="utf-8")


def refilled(source: Path, tensors: Mapping[str, np.ndarray[Any, Any]], target: Path) -> None:
    """Write a copy of a GGUF file with other values in its tensors: matrices in float16, vectors in float32.

    Parameters
    ----------
    source
        The file that lends its settings and tokenizer.
    tensors
        The values of every tensor, by its name in the file.
    target
        The file to write.

    Raises
    ------
    ModelError
        A tensor of the source has no value, or one of another shape.
    """
    reader = gguf.GGUFReader(source)
    architecture = str(reader.fields["general.architecture"].contents())
    writer = gguf.GGUFWriter(target, architecture)
    for name, held in reader.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "general.file_type"):
            inner = held.types[-1] if held.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, held.contents(), held.types[0], inner)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    for tensor in reader.tensors:
        value, shape = tensors.get(tensor.name), tuple(int(size) for size in reversed(tensor.shape))
        if value is None or value.shape != shape:
            raise ModelError(f"--to gguf: the merged model has no {tensor.name} of shape {shape}; use --to merged")
        writer.add_tensor(tensor.name, np.ascontiguousarray(value, np.float16 if value.ndim > 1 else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _named(shape: Any, tensors: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the tensors of a Llama under their GGUF names, with queries and keys in llama.cpp's order of rotations."""
    if shape.model_type != "llama":
        raise ModelError(f"--to gguf: the tensors of a {shape.model_type} model are not known here; use --to merged")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, shape.num_hidden_layers)
    found = {}
    for name, value in tensors.items():
        for part, heads in (("q_proj", shape.num_attention_heads), ("k_proj", shape.num_key_value_heads)):
            if name.endswith(f"{part}.weight"):
                value = value.reshape(heads, 2, -1, value.shape[1]).swapaxes(1, 2).reshape(value.shape)
        found[names.get_name(name, (".weight", ".bias")) or name] = value
    return found


def _converted(config: RunConfig, learner: Learner, card: Mapping[str, Any], folder: Path) -> None:
    """Run llama.cpp's converter on the merged model."""
    home = os.environ.get("LLAMA_CPP")
    found = str(Path(home) / CONVERTER) if home and (Path(home) / CONVERTER).is_file() else shutil.which(CONVERTER)
    if found is None:
        raise ModelError(
            f"--to gguf: this needs llama.cpp's {CONVERTER}, which is not found; set LLAMA_CPP to its folder, or "
            "use --to merged and convert that folder elsewhere"
        )
    between = folder / "merged"
    between.mkdir()
    write_merged(config, learner, card, between)
    command = [sys.executable, found, str(between), "--outfile", str(folder / FILE), "--outtype", "f16"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  the operator's own program
    shutil.rmtree(between)
    if done.returncode or not (folder / FILE).is_file():
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ModelError(f"--to gguf: {CONVERTER} failed ({said}); use --to merged and convert that folder elsewhere")
