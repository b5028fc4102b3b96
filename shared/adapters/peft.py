"""PEFT's adapter on a base model: attached, read, written, saved and restored; its shape comes from our config alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from shared.adapters.ia3 import ia3_config
from shared.adapters.lora import lora_config, start_lora
from shared.adapters.state import AdapterState
from shared.config.adapter import AdapterSection
from shared.errors import ModelError
from shared.models.load import LoadedModel, quiet
from shared.models.memory import without_checkpointing


def attach_adapter(model: LoadedModel, section: AdapterSection, seed: int) -> PeftModel:
    """Put the adapter that the config names on the base model; at its start the model is the base model.

    Raises:
        ModelError: a target layer does not exist or is no linear layer.
    """
    lora = section.family == "lora"
    config = lora_config(model.network, section) if lora else ia3_config(model.network, section)
    config.task_type = "CAUSAL_LM" if model.kind == "causal" else "FEATURE_EXTRACTION"
    name, _, revision = model.files.reference.partition("@")
    config.base_model_name_or_path, config.revision = name, revision or None
    with (
        quiet(),
        without_checkpointing(model.network),
    ):  # or PEFT lets the input want a gradient
        tuned = cast("PeftModel", get_peft_model(model.network, config))
    if lora:
        start_lora(tuned, section, seed)
    return tuned


def read_adapter(model: nn.Module) -> AdapterState:
    """The trained tensors of a model as an adapter state, copied to float32 on the CPU."""
    return AdapterState(
        {
            name: parameter.detach().to("cpu", torch.float32).numpy().copy()
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }
    )


def trained_shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The name and shape of each trained tensor; a model on the meta device has them too."""
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters() if parameter.requires_grad}


def write_adapter(model: nn.Module, state: AdapterState) -> None:
    """Set the trained tensors of a model from a state of the same spec.

    Raises:
        ModelError: names or shapes differ.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if trained_shapes(model) != dict(state.spec):
        raise ModelError("the adapter does not fit the model: other names or shapes; build both from one run config")
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(torch.from_numpy(state.arrays[name]))


@contextmanager
def base_alone(model: nn.Module) -> Iterator[None]:
    """Switch off the adapters of a model for a while, whoever computes them: what runs is the base model.

    PEFT's own switch would not do inside a private step, whose layers run without asking PEFT.
    """
    layers: list[Any] = [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]
    lent = [vars(layer).get("forward") for layer in layers]
    try:
        for layer in layers:
            layer.forward = layer.base_layer.forward
        yield
    finally:
        for layer, forward in zip(layers, lent, strict=True):
            vars(layer).pop("forward", None)
            if forward is not None:
                layer.forward = forward


def save_peft(tuned: PeftModel, folder: Path) -> None:
    """Write the adapter in PEFT's own format: adapter_config.json and adapter_model.safetensors."""
    tuned.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty card; ours says what holds


def restore_peft(tuned: PeftModel, folder: Path) -> None:
    """Set the adapter's tensors from a saved one; its config file is not read.

    Raises:
        ModelError: the file is missing, or its tensors are not exactly those of the model.
    """
    path = folder / "adapter_model.safetensors"
    try:
        saved = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: not a readable adapter; give the adapter folder of a finished run") from error
    own = get_peft_model_state_dict(tuned, save_embedding_layers=False)  # else PEFT asks the hub about the vocabulary
    expected = {name: tuple(tensor.shape) for name, tensor in own.items()}
    if expected != {name: tuple(tensor.shape) for name, tensor in saved.items()}:
        raise ModelError(f"{path}: its tensors do not fit the base model; use the base model that it was trained on")
    set_peft_model_state_dict(tuned, saved)
