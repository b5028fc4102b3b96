"""Estimate the memory of training: bytes per record, free bytes, and how many records fit at once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

SHARE = 0.8  # share of the free memory that may be used
# Measured peak memory divided by the bytes counted here: 1.7 to 2.3 on CPUs (docs/engine.md), whose allocator keeps freed
# blocks. A GPU's allocator keeps fewer.
OVERHEAD = {"cpu": 2.5, "cuda": 1.5, "mps": 2.5}
LARGEST = 16_384  # tokens of an automatically chosen micro-batch; more is not faster
NF4_BYTES = 0.5625  # bytes per weight: 4 bits, and one float32 scale for 64 weights
CGROUP, MEMINFO = Path("/sys/fs/cgroup"), Path("/proc/meminfo")  # of Linux


def free_bytes(device: torch.device) -> int:
    """Return how many bytes this process can still use on a device.

    Parameters
    ----------
    device
        A CUDA device, or any other: then the smaller of the system's free memory (all of its memory on macOS, which does not
        say in a file how much is free) and the rest of the container's limit.

    Returns
    -------
    int
        Bytes, 0 or more.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    left = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    if MEMINFO.is_file():
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
        left += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    limit, used = CGROUP / "memory.max", CGROUP / "memory.current"
    if limit.is_file() and limit.read_text(encoding="ascii").strip() != "max":
        left.append(int(limit.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii")))
    return max(0, min(left))


def record_bytes(network: nn.Module, length: int) -> int:
    """Return the bytes that one record adds to a training step: saved activations plus its gradients.

    Runs one forward pass in training mode and counts each storage that autograd saves once, except the weights. Gradient
    checkpointing is paused because it would hide the saved activations. Our fused layers save no more than PEFT's layers,
    which are counted here.

    Parameters
    ----------
    network
        Model with an adapter; may be on the meta device.
    length
        Tokens of the record.
    """
    weights = {_storage(p) for p in network.parameters()}
    kept: dict[int, torch.Tensor] = {}  # keeps the tensors alive, so that no storage number is reused

    def save(tensor: torch.Tensor) -> torch.Tensor:
        if _storage(tensor) not in weights:
            kept[_storage(tensor)] = tensor
        return tensor

    training, ids = network.training, torch.ones((1, length), dtype=torch.int64, device=next(network.parameters()).device)
    network.train()
    try:
        with without_checkpointing(network), torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
            network(input_ids=ids)
    finally:
        network.train(training)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) + trained_bytes(network)


def estimated_bytes(shape: Any, length: int) -> float:
    """Estimate the bytes of one record in float32 from a model's config, where no forward pass can count them.

    The formula is that of Korthikanti et al. 2022 (arXiv 2205.05198, equation 1) for a transformer without parallelism.

    Parameters
    ----------
    shape
        The transformers config of the model.
    length
        Tokens of the record.
    """
    layers, width, heads = (
        int(getattr(shape, name, 1)) for name in ("num_hidden_layers", "hidden_size", "num_attention_heads")
    )
    return 2.0 * layers * (34 * length * width + 5 * heads * length**2)  # twice their 16-bit numbers


def trained_bytes(network: nn.Module) -> int:
    """Return the bytes of a network's trainable parameters, which are also the bytes of one gradient."""
    return sum(p.numel() * p.itemsize for p in network.parameters() if p.requires_grad)


def checkpointed_bytes(whole: float, shape: Any, length: int, size: int) -> float:
    """Estimate the bytes of one record under gradient checkpointing: one layer's activations and the input of each layer.

    Parameters
    ----------
    whole
        Bytes of the record without checkpointing.
    shape
        The transformers config of the model (``num_hidden_layers``, ``hidden_size``).
    length
        Tokens of the record.
    size
        Bytes of one activation value.
    """
    layers, width = int(shape.num_hidden_layers), int(shape.hidden_size)
    return whole / layers + layers * length * width * size


def weight_bytes(network: nn.Module, size: int, *, four_bits: bool) -> float:
    """Return the bytes of a network's weights.

    Parameters
    ----------
    network
        Model, which may be on the meta device.
    size
        Bytes of one weight.
    four_bits
        Whether linear layers are stored in 4 bits (nf4).
    """
    total = sum(parameter.numel() for parameter in network.parameters())
    linear = sum(module.weight.numel() for module in network.modules() if isinstance(module, nn.Linear))
    return total * size - (linear * (size - NF4_BYTES) if four_bits else 0)


def affordable_tokens(record: float, length: int, free: int, device: torch.device) -> int:
    """Return the largest micro-batch, in tokens and a power of two, whose records fit the free memory.

    It never returns less than ``length``, so one record is computed at a time even if memory is short.

    Parameters
    ----------
    record
        Bytes of one record in training.
    length
        Tokens of one record.
    free
        Free bytes of the device.
    device
        Decides how much the allocator needs in addition.
    """
    records = int(SHARE * free / (OVERHEAD[device.type] * max(record, 1)))
    tokens = max(1, min(records * length, LARGEST))
    return max(1 << (tokens.bit_length() - 1), length)


@contextmanager
def without_checkpointing(network: nn.Module) -> Iterator[None]:
    """Pause a network's gradient checkpointing."""
    paused: list[Any] = [module for module in network.modules() if getattr(module, "gradient_checkpointing", False)]
    try:
        for module in paused:
            module.gradient_checkpointing = False
        yield
    finally:
        for module in paused:
            module.gradient_checkpointing = True


def _storage(tensor: torch.Tensor) -> int:
    """Return a number that identifies a tensor's storage, also on the meta device, where storages have no address."""
    return int(tensor.untyped_storage()._cdata)
