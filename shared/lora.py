"""The LoRA adapter on a base model: attached, read, written, saved and restored; its shape comes from our config alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from shared.adapter import AdapterState
from shared.errors import ModelError
from shared.footprint import without_checkpointing
from shared.models import LoadedModel, quiet
from shared.sections import AdapterSection
from shared.seeds import signs

ATTENTION = (
    ("query", "key", "value"),
    ("q_proj", "k_proj", "v_proj"),
    ("q_lin", "k_lin", "v_lin"),
    ("query_key_value",),
    ("qkv_proj",),
    ("Wqkv",),
)


def attach_lora(model: LoadedModel, section: AdapterSection, seed: int) -> PeftModel:
    """Put a LoRA adapter on the base model: B zero, A of entries +-1/sqrt(d_in), A frozen unless the config trains it.

    A's rows have norm 1 exactly and are nearly orthogonal, which bounds B's gradient as FedSVD's orthonormal A does
    (Lee et al. 2025, arXiv 2505.12805); the signs come from SHAKE-256 of the run's seed, so that every site has the
    same A bit for bit. With A frozen (FFA-LoRA, Sun et al. 2024, arXiv 2403.12313) the mean of adapters is the
    adapter of the mean. Rank-stabilised scaling is that of Kalajdzievski 2023 (arXiv 2312.03732).

    Raises:
        ModelError: a target layer does not exist or is no linear layer.
    """
    targets = list(section.targets or _attention_targets(model.network))
    _check_targets(model.network, targets)
    config = LoraConfig(
        r=section.rank,
        lora_alpha=section.alpha,  # type: ignore[arg-type]  # PEFT takes any number
        lora_dropout=section.dropout,
        target_modules=targets,
        use_rslora=section.scaling == "rank-stabilised",
        layers_to_transform=_layers(model.network, section),
        bias="none",
        task_type="CAUSAL_LM" if model.kind == "causal" else "FEATURE_EXTRACTION",
        base_model_name_or_path=model.files.reference.split("@")[0],
        revision=model.files.reference.split("@")[1] if "@" in model.files.reference else None,
    )
    with (
        quiet(),
        without_checkpointing(model.network),
    ):  # or PEFT lets the input want a gradient
        tuned = cast("PeftModel", get_peft_model(model.network, config))
    for name, layer in tuned.named_modules():
        if isinstance(layer, LoraLayer):
            factor = cast("nn.Linear", layer.lora_A["default"]).weight  # (rank, d_in)
            start = signs(tuple(factor.shape), seed, "lora_A", name) / np.sqrt(np.float32(factor.shape[1]))
            factor.data.copy_(torch.from_numpy(start))
            factor.requires_grad_(section.train == "AB")
    return tuned


def _layers(network: PreTrainedModel, section: AdapterSection) -> list[int] | None:
    """Indices of the layers to adapt, or None for all of them."""
    layers, count = int(network.config.num_hidden_layers), section.last_layers
    if count > layers:
        raise ModelError(f"adapter.last_layers = {count}: this model has {layers} layers; give 0 to {layers}")
    beyond = [number for number in section.layers if number >= layers]
    if beyond:
        raise ModelError(f"adapter.layers: there is no layer {beyond[0]}; this model has layers 0 to {layers - 1}")
    return sorted(section.layers) or (list(range(layers - count, layers)) if count else None)


def _linear_names(network: nn.Module) -> list[str]:
    return sorted({name.split(".")[-1] for name, layer in network.named_modules() if isinstance(layer, nn.Linear)})


def _attention_targets(network: PreTrainedModel) -> tuple[str, ...]:
    present = set(_linear_names(network))
    for names in ATTENTION:
        if present.issuperset(names):
            return names
    raise ModelError(
        f"adapter.targets: this model's attention layers are not known; name some of: {', '.join(sorted(present))}"
    )


def _check_targets(network: nn.Module, targets: list[str]) -> None:
    present = _linear_names(network)
    for target in targets:
        if target not in present:
            raise ModelError(
                f"adapter.targets: '{target}' is no linear layer of this model; there are: {', '.join(present)}"
            )


def read_adapter(model: nn.Module) -> AdapterState:
    """The trained tensors of a model as an adapter state, copied to float32 on the CPU."""
    return AdapterState(
        {
            name: parameter.detach().to("cpu", torch.float32).numpy().copy()
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }
    )


def write_adapter(model: nn.Module, state: AdapterState) -> None:
    """Set the trained tensors of a model from a state of the same spec.

    Raises:
        ModelError: names or shapes differ.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    expected = {name: tuple(parameter.shape) for name, parameter in trained.items()}
    if expected != dict(state.spec):
        raise ModelError("the adapter does not fit the model: other names or shapes; build both from one run config")
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(torch.from_numpy(state.arrays[name]))


@contextmanager
def base_alone(model: nn.Module) -> Iterator[None]:
    """Switch off the adapters of a model for a while, whoever computes them: what runs is the base model.

    PEFT's own switch would not do inside a private step, whose layers run without asking PEFT.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
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


def save_lora(tuned: PeftModel, folder: Path) -> None:
    """Write the adapter in PEFT's own format: adapter_config.json and adapter_model.safetensors."""
    tuned.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty card; ours says what holds


def restore_lora(tuned: PeftModel, folder: Path) -> None:
    """Set both factors from a saved adapter; its config file is not read.

    Raises:
        ModelError: the file is missing, or its tensors are not exactly those of the model.
    """
    path = folder / "adapter_model.safetensors"
    try:
        saved = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: not a readable adapter; give the adapter folder of a finished run") from error
    expected = {name: tuple(tensor.shape) for name, tensor in get_peft_model_state_dict(tuned).items()}
    if expected != {name: tuple(tensor.shape) for name, tensor in saved.items()}:
        raise ModelError(f"{path}: its tensors do not fit the base model; use the base model that it was trained on")
    set_peft_model_state_dict(tuned, saved)
