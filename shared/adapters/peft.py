"""Attach, read, write, save and restore a PEFT adapter; only the run's config determines its shape."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from shared.adapters.core import as_lora, cores
from shared.adapters.families import FAMILIES
from shared.adapters.state import AdapterState
from shared.config.adapter import AdapterSection
from shared.errors import ModelError
from shared.models.library import one_sentence, quiet
from shared.models.load import LoadedModel
from shared.models.memory import without_checkpointing
from shared.ops.disk import os_errors

CORE_FILE = "core.safetensors"  # the cores of an adapter of that family


def attach_adapter(model: LoadedModel, section: AdapterSection, seed: int) -> PeftModel:
    """Put a new adapter on the base model; until it is trained, the model computes the same as before.

    Parameters
    ----------
    model
        The base model; its network is changed in place.
    section
        The adapter's family, layers and settings.
    seed
        The run's public seed, from which the adapter is initialised.

    Raises
    ------
    ModelError
        A target layer does not exist or is not linear.
    """
    family = FAMILIES[section.family]
    with one_sentence(f"adapter: {model.files.name} cannot be adapted so", "name other layers in adapter.targets"):
        config = family.peft_config(model.network, section)
        config.task_type = "CAUSAL_LM" if model.kind == "causal" else "FEATURE_EXTRACTION"
        name, _, revision = model.files.reference.partition("@")
        config.base_model_name_or_path, config.revision = name, revision or None
        # With checkpointing on, PEFT would make the input require a gradient.
        with quiet(), without_checkpointing(model.network):
            tuned = cast("PeftModel", get_peft_model(model.network, config))
        family.start(tuned, section, seed)
    return tuned


def read_adapter(model: nn.Module) -> AdapterState:
    """Copy the trained tensors of a model to an adapter state, in float32 on the CPU.

    Parameters
    ----------
    model
        A model whose trained parameters are the adapter and, in a task with a head, the head.
    """
    return AdapterState(
        {
            name: parameter.detach().to("cpu", torch.float32).numpy().copy()
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }
    )


def trained_shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each trained tensor.

    Parameters
    ----------
    model
        A model on any device, the meta device included.
    """
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters() if parameter.requires_grad}


def write_adapter(model: nn.Module, state: AdapterState) -> None:
    """Set the trained tensors of a model.

    Parameters
    ----------
    model
        The model; changed in place.
    state
        Arrays with exactly the names and shapes of the model's trained tensors.

    Raises
    ------
    ModelError
        Names or shapes differ.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if trained_shapes(model) != dict(state.spec):
        raise ModelError("the adapter does not fit the model: other names or shapes; build both from one run config")
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(torch.from_numpy(state.arrays[name]))


@contextmanager
def base_only(model: nn.Module) -> Iterator[None]:
    """Switch the adapters off inside the block, so that the model computes as the base model.

    PEFT's own switch does not work inside a private step, because the fused layers there do not call PEFT.

    Parameters
    ----------
    model
        The model with its adapters; they work again after the block.
    """
    layers: list[Any] = [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]
    replaced = [vars(layer).get("forward") for layer in layers]
    try:
        for layer in layers:
            layer.forward = layer.base_layer.forward
        yield
    finally:
        for layer, forward in zip(layers, replaced, strict=True):
            vars(layer).pop("forward", None)
            if forward is not None:
                layer.forward = forward


def save_peft(tuned: PeftModel, folder: Path) -> None:
    """Write the adapter in PEFT's own format: adapter_config.json and adapter_model.safetensors.

    An adapter of the core family is written as the LoRA adapter that it amounts to, and its cores beside it, bit for bit.
    """
    inner = {name: factor.core.weight.detach().cpu() for name, factor in cores(tuned).items()}
    state = as_lora(tuned) if inner else None
    with os_errors():
        tuned.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False, state_dict=state)
        if inner:
            save_file(inner, folder / CORE_FILE)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card; the run writes its own


def restore_peft(tuned: PeftModel, folder: Path) -> None:
    """Set the adapter's trained tensors from a saved adapter, without reading its config file.

    Tensors that are frozen, as LoRA's A is under privacy, follow from the run's seed. No digest covers them, so a file in
    which they differ is refused.

    Raises
    ------
    ModelError
        The file is missing, its tensors are not exactly those of the model, or a frozen one has other numbers.
    """
    factors = cores(tuned)
    path = folder / (CORE_FILE if factors else "adapter_model.safetensors")
    try:
        saved = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: not a readable adapter; give the adapter folder of a finished run") from error
    if factors:
        own = {name: factor.core.weight for name, factor in factors.items()}
    else:
        own = get_peft_model_state_dict(tuned, save_embedding_layers=False)  # else PEFT asks the hub about the vocabulary
    expected = {name: tuple(tensor.shape) for name, tensor in own.items()}
    if expected != {name: tuple(tensor.shape) for name, tensor in saved.items()}:
        raise ModelError(f"{path}: its tensors do not fit the base model; use the base model that it was trained on")
    frozen = {name.replace(".default", "") for name, each in tuned.named_parameters() if not each.requires_grad}
    if not all(bool((own[name].cpu() == saved[name]).all()) for name in frozen.intersection(own)):
        raise ModelError(
            f"{path}: its frozen tensors are not those of the run's seed, so the trained ones do not fit them; obtain the "
            "adapter folder again"
        )
    if factors:
        with torch.no_grad():
            for name, weight in own.items():
                weight.copy_(saved[name])
    else:
        set_peft_model_state_dict(tuned, saved)
