"""How much memory a record takes in training, how much is free, and how many records that affords at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

SHARE = 0.8  # of what is free, that may be planned for
# Peak of resident memory over what is counted here; 1.7 to 2.3 was measured on CPUs (docs/engine.md), whose allocator
# keeps freed pieces. A GPU's keeps less.
OVERHEAD = {"cpu": 2.5, "cuda": 1.5, "mps": 2.5}
LARGEST = 16_384  # tokens of a micro-batch that is chosen; more brings no speed
NF4_BYTES = 0.5625  # of a weight: 4 bits, and a float32 scale for each 64 of them
CGROUP = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> int:
    """Memory that this process can still take on a device; on a CPU what the system, or its container, has left."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    left = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    limit, used = CGROUP / "memory.max", CGROUP / "memory.current"
    if limit.is_file() and limit.read_text(encoding="ascii").strip() != "max":
        left.append(int(limit.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii")))
    return max(0, min(left))


def record_bytes(network: nn.Module, length: int) -> int:
    """Bytes that one record of ``length`` tokens adds to a step: what its backward pass keeps, and its gradients.

    Runs one forward pass of a network with an adapter, which may be on the meta device, and counts each storage once, but
    no weights. The fused layers keep no more than PEFT's, which are counted. Checkpointing, which hides what is kept, is off
    meanwhile.
    """
    weights = {_storage(p) for p in network.parameters()}
    kept: dict[int, torch.Tensor] = {}  # the tensors themselves, so that no storage's number is given out twice

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


def trained_bytes(network: nn.Module) -> int:
    """Bytes of a network's trained tensors, and so of one gradient."""
    return sum(p.numel() * p.itemsize for p in network.parameters() if p.requires_grad)


def checkpointed_bytes(whole: float, shape: Any, length: int, size: int) -> float:
    """The same under checkpointing: one layer's part of ``whole`` and each layer's input; ``shape`` is a model's config."""
    layers, width = int(shape.num_hidden_layers), int(shape.hidden_size)
    return whole / layers + layers * length * width * size


def weight_bytes(network: nn.Module, size: int, *, four_bits: bool) -> float:
    """Bytes of a network's weights at ``size`` bytes each; linear layers take less in 4 bits."""
    total = sum(parameter.numel() for parameter in network.parameters())
    linear = sum(module.weight.numel() for module in network.modules() if isinstance(module, nn.Linear))
    return total * size - (linear * (size - NF4_BYTES) if four_bits else 0)


def affordable_tokens(record: float, length: int, free: int, device: torch.device) -> int:
    """The largest micro-batch, in tokens and as a power of two, whose records of ``record`` bytes fit what is free.

    At least one record of ``length`` tokens goes at once, whatever is free.
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
    """What tells storages apart, on the meta device too, where none has an address."""
    return int(tensor.untyped_storage()._cdata)
